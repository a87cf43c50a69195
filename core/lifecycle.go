package core

import (
	"context"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/pidfile"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// The requests to the goroutine that owns the lifecycle.
type (
	advanceRequest struct {
		pidFile   *pidfile.File // nil without one
		paths     []func()      // remove the paths of unix sockets that are not used any more
		again     bool          // the old process was asked for one more upgrade
		probation time.Duration // how long the old process can take the service back
		reply     chan error
	}
	upgradeRequest struct {
		ctx   context.Context
		leave bool              // the foreign master, too
		reply chan upgradeReply // nil for a signal
	}
	upgradeReply struct {
		result Result
		err    error
	}
	stopRequest struct {
		err error // why; nil for a clean stop
		now bool  // there is nothing that could go on for the pre-stop delay
	}
)

// lifecycle is what only the owning goroutine touches.
type lifecycle struct {
	*Upgrader
	attempt *attempt          // the upgrade in progress; nil without one
	asker   chan upgradeReply // who waits for it; nil for a signal
	pending bool              // a signal came meanwhile: one more afterwards
	trial   *trial            // the next generation is on probation

	probation *probation      // this generation is
	aborted   <-chan struct{} // closed when the old process takes the service back; nil without one
	cutBefore int             // generations before this one were asked to end
	recalls   int             // new processes that were given up and have not ended yet

	preStop   <-chan time.Time // the end of the pre-stop delay; nil without one
	stopping  bool             // a stop signal was seen: the next one is impatient
	heldStop  bool             // see holdStop
	doubt     <-chan time.Time // the end of the wait for a SIGTERM; nil without one
	stopHeld  bool             // the hooks of a stop signal run, or have
	hurry     chan struct{}    // closed to wait for them no longer; nil if there are none
	hooksLeft int              // signals whose hooks have not all run
	cause     error            // why the process stops; nil for a clean stop
	drained   chan error       // the drain's result; nil before it begins
	drainErr  error
	ended     bool // the drain has ended

	manager *notifier
	taken   *notifier // the manager of a service whose main process was the foreign master; nil otherwise
}

// run owns the lifecycle of the process until it is done.
func (u *Upgrader) run(signals chan os.Signal, stopSignals func()) {
	l := &lifecycle{Upgrader: u, manager: newNotifier(boot, u.log)}
	defer l.manager.end()
	defer stopSignals()
	for !l.ended || l.attempt != nil || l.recalls > 0 || l.hooksLeft > 0 {
		var attempted chan attemptResult
		if l.attempt != nil {
			attempted = l.attempt.result
		}
		var impatient chan struct{}
		if l.preStop != nil {
			impatient = l.cut
		}
		select {
		case req := <-u.advances:
			req.reply <- l.advance(req)
		case req := <-u.upgrades:
			l.upgrade(req)
		case req := <-u.stops:
			l.stop(req)
		case req := <-u.rejects:
			req.reply <- l.reject(req.err)
		case sig := <-signals:
			l.signal(sig)
		case a := <-u.acts:
			l.act(a.sig)
			close(a.done)
		case <-u.hooksRan:
			l.hooksLeft--
		case msg := <-boot.link.asked():
			l.asked(msg)
		case res := <-attempted:
			l.attemptEnded(res)
		case <-l.preStop:
			l.beginDrain(StateStopping)
		case <-impatient:
			l.beginDrain(StateStopping)
		case <-l.doubt:
			l.doubtEnds()
		case f := <-l.words():
			l.heard(f)
		case <-l.silence():
			l.lost()
		case <-l.trial.beats():
			l.beatTrial()
		case <-l.trial.ends():
			l.trialDue()
		case <-l.trial.givenUp():
			l.givenUp()
		case <-u.explained:
			if l.State() == StateCurrent {
				l.upgradeAgain()
			}
		case gone := <-u.sentBack:
			l.recalls--
			l.restorePIDFile(gone)
		case v := <-u.verdicts:
			l.passed(v)
		case <-l.aborted:
			l.recalled()
		case <-l.probation.givesUp():
			l.settle(false)
		case <-l.manager.beats():
			l.manager.watchdog()
		case <-l.manager.extends():
			l.manager.goesOn(l.conns.remaining())
		case <-u.aging:
			l.aged()
		case l.drainErr = <-l.drained:
			l.ended = true
		}
	}
	l.end()
}

func (l *lifecycle) setState(s State) {
	l.state.Store(uint32(s))
	boot.link.stand(l.generation, s, l.cause == nil && isClosed(l.accepting))
}

// words is what the next generation says.
func (l *lifecycle) words() <-chan wire.Frame {
	if l.next == nil {
		return nil
	}
	return l.next.talk.words
}

// silence is closed when the next generation can't be heard any more, if that matters.
func (l *lifecycle) silence() <-chan struct{} {
	if l.trial == nil {
		return nil
	}
	return l.next.talk.silent
}

// advance makes this process the current generation.
func (l *lifecycle) advance(req advanceRequest) error {
	if l.State() != StateStarting {
		return ErrStopped
	}
	l.setState(StateCurrent)
	if p := l.inherited.parent; p != nil {
		l.seenOff, l.aborted = make(chan struct{}), p.aborted
	}
	l.probation = &probation{paths: req.paths}
	if req.probation == 0 {
		p := l.inherited.parent
		l.settle(p == nil || !p.hungUp())
	}
	l.keepListeners()
	close(l.accepting)
	if p := l.inherited.parent; p != nil && !p.plain() && len(only[*PacketConn](l.passing.all())) > 0 {
		_ = p.say(wire.Serves, nil) // its end is noticed
	}
	if req.pidFile != nil {
		if err := req.pidFile.Commit(); err != nil {
			l.log.Error("the pid file does not name this process", "error", err)
		}
	}
	args := []any{"addresses", l.passing.addresses()}
	if p := l.inherited.parent; p != nil {
		args = append(args, "old_pid", p.pid(), "plain", p.plain(), "probation", req.probation)
	}
	l.log.Info("current", args...)
	if p := l.inherited.parent; p == nil || p.plain() {
		l.manager.serves(l.generation, 0) // else the old process says it, or the end of the probation
	}
	l.aged()
	l.pending = req.again
	if l.probation == nil {
		l.upgradeAgain()
	}
	return nil
}

func (l *lifecycle) signal(sig os.Signal) {
	if sig == syscall.SIGTERM && l.attempt != nil && l.attempt.mayBePlain() {
		// A program that speaks only the plain protocol says "ready" this way.
		l.attempt.noteTerm()
		return
	}
	l.around(sig)
}

// act does what a signal means.
func (l *lifecycle) act(sig os.Signal) {
	s := l.cfg.signals
	switch {
	case boot.master() != nil && sig == boot.master().Retire:
		l.log.Info("signal: make room", "signal", sig.String())
		l.retire(boot.master())
	case slices.Contains(s.Upgrade, sig):
		l.log.Info("signal: upgrade", "signal", sig.String())
		l.upgrade(upgradeRequest{ctx: context.Background()})
	case slices.Contains(s.Stop, sig):
		l.stopSignal(sig)
	case slices.Contains(s.Reopen, sig):
		l.log.Info("signal: reopen", "signal", sig.String())
		go l.reopen()
	}
}

// beginDrain stops accepting and starts the drain. Nobody is told to leave before the
// listeners are closed: a client that comes back at once would find itself in the
// queue of a listener that is about to be.
func (l *lifecycle) beginDrain(s State) {
	l.preStop = nil
	l.setState(s)
	if s == StateStopping {
		l.manager.stops(l.conns.remaining(), l.cfg.drainTimeout)
	}
	l.serverMu.Lock() // no server is added from here on
	l.conns.drains.Store(true)
	l.draining.Store(true)
	l.serverMu.Unlock()
	l.endLife()
	replaced := s == StateDraining
	leaves := replaced && l.next != nil && boot.master() != nil
	all := l.passing.finish()
	listeners, sockets := only[*listener](all), only[*PacketConn](all)
	forget(only[*spare](all))
	if replaced {
		closeAll(listeners, l.next == nil)
		go endReading(sockets, l.next)
		l.bidFarewell()
	}
	drained := make(chan error, 1)
	l.drained = drained
	go func() {
		if !replaced {
			boot.link.release()
			sweep(listeners, sockets)
			closeAll(listeners, true)
			l.bidFarewell()
		}
		err := l.runDrain(replaced)
		if leaves {
			l.dismissMaster(boot.master())
		}
		drained <- err
	}()
}

// bidFarewell asks clients and streams to leave from here on.
func (u *Upgrader) bidFarewell() {
	u.farewell.Store(true)
	close(u.drain)
}

// end is the last thing that happens in the life of an Upgrader.
func (l *lifecycle) end() {
	if l.next != nil {
		l.cfg.signals.swallow(l.cfg.hookedSignals())
		l.next.talk.mute()
		l.next.drained()
		l.next.stderr.end()
		l.next.stderr.wait()
	} else if l.cfg.pidFile != "" {
		if err := pidfile.Remove(l.cfg.pidFile, servicePID()); err != nil {
			l.log.Warn("the pid file could not be removed", "error", err)
		}
	}
	if p := l.inherited.parent; p != nil && p.ctl != nil {
		_ = p.ctl.Close()
	}
	l.err = l.cause
	if l.err == nil {
		l.err = l.drainErr
	}
	l.setState(StateStopped)
	if isClosed(l.accepting) {
		l.log.Info("generation ended", "ledger", l.Stats())
	}
	l.socket.finish()
	close(l.done)
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
