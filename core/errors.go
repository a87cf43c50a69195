package core

import (
	"errors"
	"strings"
)

// The refusals and failures that a caller can act on. Compare with errors.Is;
// the error itself says more.
var (
	// ErrInProgress: an upgrade is running; its outcome comes first.
	ErrInProgress = errors.New("gracex: an upgrade is in progress")
	// ErrNotReady: this process has not said Ready yet, or is not current yet.
	ErrNotReady = errors.New("gracex: not ready yet")
	// ErrStopped: this process is stopping, draining or has stopped.
	ErrStopped = errors.New("gracex: stopped")
	// ErrUnsupported: this system or this place (pid 1, a worker of a foreign master) can't upgrade.
	ErrUnsupported = errors.New("gracex: upgrades are not supported here")
	// ErrVetoed: an OnPreFork hook refused the upgrade.
	ErrVetoed = errors.New("gracex: upgrade vetoed")
	// ErrTimeout: a hook, the ready check or the new process took too long.
	ErrTimeout = errors.New("gracex: timed out")
	// ErrCut: the drain ended with work left, at its deadline or because a
	// second stop asked for it. The ledger has the counts.
	ErrCut = errors.New("gracex: drain cut short")
	// ErrRunning: this process has an Upgrader already.
	ErrRunning = errors.New("gracex: this process has an Upgrader already; serve several servers with one (core.Run and Upgrader.Attach)")
	// ErrNotInherited: the command line or the environment says that this
	// process was started by an upgrade, but what it should have inherited is
	// not there.
	ErrNotInherited = errors.New("gracex: started as the new process of an upgrade, but nothing was handed over")
	// ErrNotMoved: HandOff left the connection with its caller.
	ErrNotMoved = errors.New("gracex: the connection stays in this process")
	// ErrAborted: the old process gave this one up and serves on, or serves again.
	ErrAborted = errors.New("gracex: the old process aborted the upgrade")
	// ErrRolledBack: the new process was current, on probation, and was found bad. This
	// one serves again.
	ErrRolledBack = errors.New("gracex: upgrade rolled back")
	// ErrNotOnProbation: there is no old process any more that could take the service
	// back.
	ErrNotOnProbation = errors.New("gracex: not on probation")
)

// because gives a refusal its cause; errors.Is finds both.
func because(kind, cause error) error { return &refusal{kind, cause} }

type refusal struct{ kind, cause error }

func (e *refusal) Error() string {
	return e.kind.Error() + ": " + strings.TrimPrefix(e.cause.Error(), prefix)
}

func (e *refusal) Unwrap() []error { return []error{e.kind, e.cause} }

// prefix is the package's, once in an error's text.
const prefix = "gracex: "

// opError says what failed, and keeps the prefix in front.
type opError struct {
	what string
	err  error
}

func wrap(what string, err error) error { return &opError{what, err} }

func (e *opError) Error() string {
	return prefix + e.what + ": " + strings.TrimPrefix(e.err.Error(), prefix)
}

func (e *opError) Unwrap() error { return e.err }
