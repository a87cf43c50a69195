package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/reserve"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// errTermWasAStop: a SIGTERM that could have been a plain program's "ready" was
// not, because the new process speaks the protocol. It was meant for the service.
var errTermWasAStop = because(ErrStopped, errors.New("a SIGTERM came during the upgrade"))

// system is what an attempt needs of the operating system; tests put another one
// behind it.
type system struct {
	// start is as spawn.Start.
	start func(path string, l spawn.Launch, control string, files []int) (spawn.Process, error)
	// capture is as spawn.NewCapture; it and what it returns may be nil.
	capture func(path string, log *slog.Logger) *spawn.Capture
	around  reserve.System // whose limits count
}

var realSystem = system{start: spawn.Start, capture: spawn.NewCapture}

// attempt is one try at starting the next generation.
type attempt struct {
	u      *Upgrader
	asked  context.Context // the request's
	leave  bool            // the foreign master
	change launchChange    // in how the new process is started
	launch spawn.Launch    // how it is; valid once the pre-fork hooks have run
	began  time.Time
	name   upgradeName
	ctx    context.Context // asked, or the attempt is given up
	cancel context.CancelCauseFunc

	service *sdnotify.Socket // that the new process is to know; nil: it has what this one has

	process atomic.Pointer[peer.Next] // the new process; nil before it is there
	passed  []passable                // what it got; valid once it is there

	started atomic.Bool   // the new process may exist, and may become ready
	spoke   atomic.Bool   // it has said hello
	termed  bool          // noteTerm was called; the lifecycle's
	term    chan struct{} // a SIGTERM that may be its "ready"; room for one
}

type attemptResult struct {
	next *peer.Next // nil if none was started
	err  error
}

// newAttempt makes an attempt. The end of the request's context gives it up.
func newAttempt(u *Upgrader, req upgradeRequest) *attempt {
	a := &attempt{
		u:     u,
		asked: req.ctx,
		leave: req.leave, change: req.change,
		began: time.Now(),
		term:  make(chan struct{}, 1),
	}
	a.ctx, a.cancel = context.WithCancelCause(req.ctx)
	return a
}

// result makes the attempt. A new process that is no success may still be there.
func (a *attempt) result() attemptResult {
	next, err := a.run(a.ctx)
	return attemptResult{next, err}
}

// mayBePlain reports whether a SIGTERM that comes now may be the new process's
// way to say that it is ready.
func (a *attempt) mayBePlain() bool { return a.started.Load() && !a.spoke.Load() && !a.termed }

// hello notes that the new process has spoken. If it is another one than was started, a plain program may have started
// it, as its own next generation, and that has sent its SIGTERM before.
func (a *attempt) hello(itself bool) {
	if !itself {
		a.u.awaitSignals()
	}
	a.spoke.Store(true)
}

func (a *attempt) noteTerm() {
	a.termed = true
	a.term <- struct{}{}
}

func (a *attempt) run(ctx context.Context) (*peer.Next, error) {
	a.begins()
	var err error
	if a.service, err = a.underMaster(ctx); err != nil {
		return nil, err
	}
	if a.change.release != "" { // before a hook prepares for it
		if err := a.u.findRelease(a.change.release); err != nil {
			return nil, err
		}
	}
	if err := a.enough(); err != nil {
		return nil, err
	}
	hookCtx, cancel := context.WithTimeout(ctx, a.u.cfg.readyTimeout)
	defer cancel()
	for _, hook := range a.u.cfg.preFork {
		if err := runHook(hookCtx, hook); err != nil {
			if ctx.Err() != nil {
				return nil, wrap("upgrade", context.Cause(ctx))
			}
			return nil, because(ErrVetoed, err)
		}
	}
	a.u.note(control.StepHooksDone, 0)
	if err := a.prepare(hookCtx); err != nil {
		if ctx.Err() != nil {
			return nil, wrap("upgrade", context.Cause(ctx))
		}
		return nil, err
	}
	a.started.Store(true) // before it is: its signal may come before fork returns
	next, err := a.start()
	if err != nil {
		if len(a.term) > 0 {
			return nil, errors.Join(errTermWasAStop, err)
		}
		return nil, err
	}
	a.u.log.Info("new process started", "new_pid", next.PID(), "path", next.Path)
	a.u.note(control.StepStarted, next.PID())
	a.u.noteOutsiders() // now: the new process starts meanwhile
	readyCtx, cancel := context.WithTimeoutCause(ctx, a.u.cfg.readyTimeout, errNotReadyInTime)
	defer cancel()
	for _, hook := range a.u.cfg.postFork {
		err := runHook(readyCtx, func(ctx context.Context) error { hook(ctx, next.PID()); return nil })
		if err != nil && readyCtx.Err() == nil {
			a.u.log.Error("a post-fork hook failed", "error", err)
		}
	}
	err = a.await(readyCtx, next)
	if err == nil && a.change.check {
		err = checked(next)
	}
	next.Introduce(a.u.generation+1, uint8(StateCurrent))
	if err != nil {
		if errors.Is(err, errNotReadyInTime) {
			err = fmt.Errorf("%w; WithReadyTimeout is %v", err, a.u.cfg.readyTimeout)
			next.Hangs = true
		}
		a.started.Store(false) // a SIGTERM from here on is meant for the service
	}
	return next, err
}

// start starts the new process with the listeners from descriptor 3 up and the
// handover socket after them.
func (a *attempt) start() (*peer.Next, error) {
	path, err := a.launch.File()
	if err != nil {
		return nil, &StartError{Path: path, Err: err}
	}
	a.warnOfMissed(path)
	handed, files, err := a.u.passing.passOn()
	if err != nil {
		return nil, wrap("upgrade: duplicating the sockets", err)
	}
	handed, files = a.u.withOutsiders(handed, files)
	defer func() { fd.CloseAll(files) }() // with what is added to them
	ctl, end, err := fd.Pair()
	if err != nil {
		if errors.Is(err, fd.ErrUnsupported) {
			return nil, ErrUnsupported
		}
		return nil, wrap("upgrade: handover socket", err)
	}
	files = append(files, end)
	_ = ctl.SetDeadline(time.Now().Add(timing.Word))
	err = wire.Write(ctl, wire.Welcome, wire.WelcomeMsg{
		PID: os.Getpid(), Generation: a.u.generation + 1, Listeners: descriptions(handed), Version: a.u.cfg.version,
		Counts: true, Check: a.change.check, Attempt: a.name.attempt, Context: a.name.context,
	})
	if err != nil {
		_ = ctl.Close()
		return nil, wrap("upgrade: handover socket", err)
	}
	_ = ctl.SetDeadline(time.Time{})
	linkEnd, err := a.u.link().ForNext()
	if err != nil {
		_ = ctl.Close()
		return nil, wrap("upgrade", err)
	}
	control := wire.HandoverInfo{Version: wire.Version, Descriptor: fd.First + len(files) - 1, PID: os.Getpid(), Umask: a.launch.Umask}
	var stderr *spawn.Capture
	if a.u.sys.capture != nil {
		stderr = a.u.sys.capture(path, a.u.log)
	}
	l, passed := stderr.HandOut(a.launch, &control, files)
	if a.service != nil {
		l.Env = append(l.Env[:len(l.Env):len(l.Env)], a.service.Assignment())
	}
	if linkEnd >= 0 {
		control.Link, control.Supervisor = fd.First+len(passed), a.u.link().PID()
		passed = append(passed[:len(passed):len(passed)], linkEnd)
	}
	proc, err := a.u.sys.start(path, l, control.String(), passed)
	stderr.HandedOut()
	if err != nil {
		_ = ctl.Close()
		stderr.Abandon()
		peer.CloseLinkEnd(linkEnd)
		return nil, notStarted(path, a.launch.In(), err)
	}
	stderr.Begin()
	next := peer.Follow(path, proc, ctl, a.hello)
	next.Stderr, next.LinkEnd, next.Dir = stderr, linkEnd, a.launch.In()
	a.u.tellSupervisorOf(next)
	a.passed = handed
	answer := func(f wire.Frame) { a.u.report(next, f) }
	next.Frames.Answer.Store(&answer)
	a.u.listenTo(next)
	a.process.Store(next)
	return next, nil
}

// Why a new process did not become ready.
var (
	errNotReadyInTime = fmt.Errorf("%w: it was not ready in time", ErrTimeout)
	errEnded          = errors.New("it ended before it was ready")
	errSaidFailed     = errors.New("it failed to start")
	errHungUp         = errors.New("it closed the handover socket before it was ready")
)

// await returns nil when the new process is ready, else why it won't be.
func (a *attempt) await(ctx context.Context, next *peer.Next) error {
	frames, watch := next.Start, next.Watch()
	var settled <-chan time.Time
	for {
		select {
		case ev, more := <-frames:
			if !more {
				frames = nil
				continue
			}
			ready, err := a.heard(ev)
			if errors.Is(err, errHungUp) && next.EndsWithin(timing.HangUp) {
				err = errEnded
			}
			if ready && len(a.term) > 0 {
				return a.whoseTerm(next)
			}
			if ready || err != nil {
				return err
			}
			if settled != nil && a.spoke.Load() {
				return a.whoseTerm(next)
			}
		case <-next.Exited:
			return a.ended(next, frames, settled != nil)
		case <-a.term: // noted before a word on the handover socket
			if a.spoke.Load() {
				return a.whoseTerm(next)
			}
			settled = time.After(timing.PlainSettle)
		case <-settled:
			if frames != nil && watch.Unheard() && !a.spoke.Load() { // its hello may be there
				settled = time.After(timing.InTime)
				continue
			}
			return a.whoseTerm(next)
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errNotReadyInTime) {
				// This process may have been stopped, or in a hook: a word that
				// came in time holds, because the new process relies on it.
				if last, ok := next.LastWords(frames, timing.InTime); ok {
					ready, err := a.heard(last)
					if ready && len(a.term) > 0 {
						return a.whoseTerm(next)
					}
					return err
				}
			}
			return context.Cause(ctx)
		}
	}
}

// whoseTerm judges a SIGTERM that came before a word on the handover socket: a program
// that speaks only the plain protocol says nothing at all, or it is its own next
// generation that speaks, which has inherited the socket.
func (a *attempt) whoseTerm(next *peer.Next) error {
	if a.spoke.Load() && next.Says() == next.PID() {
		return errTermWasAStop
	}
	next.Plain = true
	return nil
}

// ended says why a process that has ended did, and whose a SIGTERM was.
func (a *attempt) ended(next *peer.Next, frames <-chan peer.Event, termed bool) error {
	if last, ok := next.LastWords(frames, timing.LastWords); ok && last.Type == wire.Failed {
		return fmt.Errorf("%w: %s", errSaidFailed, last.Reason())
	}
	if !a.spoke.Load() {
		// Its own SIGTERM may be on its way: it is not to stop the service.
		select {
		case <-a.term:
			termed = true
		case <-time.After(timing.Exit):
		}
		if termed && next.Exit.Signal == syscall.SIGTERM {
			return errTermWasAStop // somebody ends all processes of the service
		}
	}
	return errEnded
}

// heard judges what came over the handover socket.
func (a *attempt) heard(ev peer.Event) (ready bool, err error) {
	var version wire.VersionError
	// Reset: it did not read what this process said.
	hungUp := errors.Is(ev.Err, io.EOF) || errors.Is(ev.Err, syscall.ECONNRESET)
	switch {
	case ev.Err == nil:
	case !a.spoke.Load() && (hungUp || errors.As(ev.Err, &version)):
		// Another major version, or a plain program that closed what it does
		// not know: SIGTERM will tell.
		return false, nil
	case hungUp:
		return false, errHungUp
	default:
		return false, fmt.Errorf("handover socket: %w", ev.Err)
	}
	switch ev.Type {
	case wire.Hello:
		return false, nil
	case wire.Ready:
		return true, nil
	case wire.Failed:
		return false, fmt.Errorf("%w: %s", errSaidFailed, ev.Reason())
	}
	return false, fmt.Errorf("it sent an unexpected %v frame", ev.Type)
}
