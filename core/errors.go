package core

import (
	"errors"
	"strings"
)

// These are the refusals and failures that a caller can act on. Compare with [errors.Is]. The
// error's text says more.
var (
	// ErrInProgress means that an upgrade is in progress, and this one was not started.
	ErrInProgress = errors.New("gracex: an upgrade is in progress")
	// ErrNotReady means that this process has not called Ready yet, or is not current yet.
	ErrNotReady = errors.New("gracex: not ready yet")
	// ErrStopped means that this process is stopping, is draining or has stopped.
	ErrStopped = errors.New("gracex: stopped")
	// ErrUnsupported means that upgrades are impossible on this system or in this place, as in a
	// worker of a foreign master, or that one would end the service, as with GRACEX_MODE=self as pid 1.
	ErrUnsupported = errors.New("gracex: upgrades are not supported here")
	// ErrVetoed means that an OnPreFork hook, or the function of WithEnvironment, refused the upgrade.
	ErrVetoed = errors.New("gracex: upgrade vetoed")
	// ErrUntrusted means that an upgrade has not started the program: somebody else than root and this process's user
	// can change it (WithTrustedBinary), or it does not give the rights that this process has got from its own file
	// (setuid, setgid or capabilities).
	ErrUntrusted = errors.New("gracex: the program is not trusted")
	// ErrNoRelease means that UpgradeTo has started nothing: there is no release of this name, or this process was
	// not started from a folder of releases.
	ErrNoRelease = errors.New("gracex: no such release")
	// ErrTimeout means that a hook, a ready check or the new process took too long.
	ErrTimeout = errors.New("gracex: timed out")
	// ErrCut means that the process has stopped with work left, at its deadline or because of a
	// second stop. The log and the ledger have the counts. It is not returned after a handover.
	ErrCut = errors.New("gracex: drain cut short")
	// ErrRunning means that this process has an Upgrader already, and this call can't join it.
	ErrRunning = errors.New("gracex: this process has an Upgrader already; serve several servers with one (core.AlsoServe, or core.Run and Upgrader.Attach)")
	// ErrSecondInstance means that New has found a process of this program that serves in the pid file of WithPIDFile,
	// and that process has not started this one. An upgrade replaces it, and a second instance needs another path.
	ErrSecondInstance = errors.New("gracex: this would be a second instance")
	// ErrNotInherited means that the command line or the environment claims that an upgrade
	// started this process, but the sockets that it should have inherited are missing.
	ErrNotInherited = errors.New("gracex: started as the new process of an upgrade, but nothing was handed over")
	// ErrNotMoved means that Handoff left the connection with its caller.
	ErrNotMoved = errors.New("gracex: the connection stays in this process")
	// ErrAborted means that the old process gave this one up. The old process serves on, or
	// serves again.
	ErrAborted = errors.New("gracex: the old process aborted the upgrade")
	// ErrRolledBack means that the new process was current and on probation, and was found bad.
	// This process serves again.
	ErrRolledBack = errors.New("gracex: upgrade rolled back")
	// ErrNotOnProbation means that no old process is left that could take the service back.
	ErrNotOnProbation = errors.New("gracex: not on probation")
)

// because gives a refusal its cause; errors.Is finds both.
func because(kind, cause error) error {
	return &refusal{kind, cause, kind.Error() + ": " + strings.TrimPrefix(cause.Error(), prefix)}
}

type refusal struct {
	kind, cause error
	text        string
}

func (e *refusal) Error() string { return e.text }

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
