//go:build unix

package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/foreign"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/reserve"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// supervisor runs the workers. Everything in it is run's alone.
type supervisor struct {
	cfg     Config
	launch  spawn.Launch     // how the next worker is started
	release *spawn.Release   // as of the start of the supervisor in this image
	manager *sdnotify.Socket // the service manager; nil without one

	words   chan word
	overdue chan *worker
	stuck   chan *worker  // it should have taken the service back by now
	quit    chan struct{} // closed at the end
	onStop  func()        // is called once when the service begins to stop; nil for none

	lingering chan *worker // its main should have returned by now

	self    *worker   // this process, while the program runs in it; nil in a process that only supervises
	workers []*worker // newest last
	crash   *worker   // that has served, while the one before it can serve again; nil without one
	kept    *bundle   // of a worker that has crashed; nil without one

	next      int              // the generation of the next worker, if this process starts it
	selfWorks bool             // the background work of this process was cut, and has not returned
	selfRests bool             // it has returned since
	known     bool             // some worker has had an Upgrader
	served    bool             // some worker was current
	failures  int              // crashes in a row
	restart   <-chan time.Time // the end of the back-off; nil without one
	upgrade   bool             // an upgrade signal waits for a worker that can hear it
	reopen    bool             // SIGUSR1 does
	stops     int              // stop signals that have come
	asked     bool             // for a stop, by one of them or by the program
	asks      int              // signals that were passed on
	ending    bool             // no more workers are started
	frozen    bool             // another image of this process goes on
	soak      soak             // of the release that serves
	totals    json.RawMessage  // what the worker that serves has told of the service's counts; nil: nothing
	blocked   []os.Signal      // are blocked in this process, and must not be in workers
	code      int
	err       error
}

// Run supervises until the program has stopped, and returns the exit code. That is the code of
// the worker, 0 after a graceful stop, or 128 and the number of the signal that ended it. The
// error says why no worker ran at all.
//
// Run passes SIGHUP and SIGUSR2 (upgrade), SIGUSR1 (reopen), and SIGTERM, SIGINT and SIGQUIT
// (stop) on to the current worker. A second stop signal goes to all workers. Call Run from the
// main of a process of its own, because it waits for every child of the process.
func Run(cfg Config) (code int, err error) {
	if len(cfg.Argv) == 0 || cfg.Argv[0] == "" {
		return 1, errors.New("gracex: supervise: no program is given")
	}
	m := newSupervisor(cfg, launchOf(cfg, cfg.workerEnv()))
	if m.manager, err = openManager(); err != nil {
		m.cfg.Log.Warn("the service manager is not told anything", "error", err)
	}
	if err := m.takeActivated(); err != nil {
		return 1, fmt.Errorf("gracex: supervise: %w", err)
	}
	becomeSubreaper()
	signals := make(chan os.Signal, signalRoom)
	signal.Notify(signals, m.handled()...)
	defer signal.Stop(signals)
	keepThreads()
	m.begin()
	m.run(signals, nil)
	return m.code, m.err
}

// keepThreads keeps threads for this process, because the workers share its limits and might take all.
func keepThreads() { reserve.System("").KeepThreads() }

// signalRoom is more signals than an operator sends in one go.
const signalRoom = 64

func newSupervisor(cfg Config, launch spawn.Launch) *supervisor {
	return &supervisor{
		cfg: cfg.withDefaults(), launch: launch, release: launch.Look(),
		words: make(chan word), overdue: make(chan *worker), stuck: make(chan *worker), quit: make(chan struct{}),
		lingering: make(chan *worker),
	}
}

// run supervises until the service has ended, or what it knows is frozen. Tasks are for its goroutine.
func (m *supervisor) run(signals <-chan os.Signal, tasks <-chan func()) {
	for !m.over() && !m.frozen {
		select {
		case sig := <-signals:
			m.signal(sig.(syscall.Signal))
		case f := <-tasks:
			f()
		case w := <-m.words:
			m.heard(w)
		case w := <-m.overdue:
			w.overdue = true
			m.look()
		case crash := <-m.stuck:
			m.standsStill(crash)
		case w := <-m.lingering:
			m.endMain(w)
		case <-m.restart:
			m.begin()
		}
	}
	if !m.frozen {
		m.kept.close()
		close(m.quit)
	}
}

// standsStill ends the wait for a worker that should serve again after a crash, and has not said so.
func (m *supervisor) standsStill(crash *worker) {
	w := m.current()
	if m.crash != crash || w == nil || !w.wayBack {
		return
	}
	if w == m.self {
		m.cfg.Log.Error("this process drains and does not serve again; another one is started")
		w.wayBack, m.crash = false, nil
		m.crashed(crash, nil)
		return
	}
	m.cfg.Log.Error("a worker that drains does not serve again; it is killed", "worker", w.pid)
	_ = w.signal(syscall.SIGKILL)
}

// over reports whether nothing is left to do.
func (m *supervisor) over() bool { return m.ending && len(m.workers) == 0 }

// begin starts a worker.
func (m *supervisor) begin() {
	m.restart = nil
	generation := m.next
	m.next++
	w, err := m.start(generation)
	if err != nil {
		m.cfg.Log.Error("no worker could be started", "error", err)
		m.crashed(&worker{}, err)
		return
	}
	m.cfg.Log.Info("worker started", "worker", w.pid, "generation", generation)
	m.add(w)
	m.tellReturned()
}

func (m *supervisor) add(w *worker) {
	if w.begun.IsZero() {
		w.begun = time.Now()
	}
	m.workers = append(m.workers, w)
	go w.listen(m.words, m.quit)
}

// current is the newest worker that serves, or is about to; nil if none does.
func (m *supervisor) current() *worker {
	var starting *worker
	for _, w := range slices.Backward(m.workers) {
		switch {
		case w.gone:
		case w.state >= stateCurrent && w.serves():
			return w
		case w.state < stateCurrent && starting == nil:
			starting = w
		}
	}
	return starting
}

// heard is a worker's word, or the end of it.
func (m *supervisor) heard(wd word) {
	w := wd.worker
	if errors.Is(wd.err, errParked) {
		m.hasParked(w)
		return
	}
	if wd.err != nil {
		fd.CloseAll(wd.files)
		_ = w.conn.Close()
		w.gone, w.overdue = true, w == m.self
		m.selfWorks = m.selfWorks || w == m.self && w.works && !m.selfRests
		m.tellReturned()
		time.AfterFunc(timing.Exit, func() {
			select {
			case m.overdue <- w:
			case <-m.quit:
			}
		})
		m.look()
		return
	}
	switch wd.frame.Type {
	case wire.Stand:
		var msg wire.StandMsg
		if wd.frame.Decode(&msg) == nil {
			m.named(w, msg, wd.by)
			w.stand(msg)
			if w.state == stateDraining && msg.State == stateStopped {
				m.lingers(w)
			}
			m.stands(w)
			m.tellReturned()
		}
	case wire.Keep:
		var msg wire.KeepMsg
		if wd.frame.Decode(&msg) == nil {
			m.keep(w, msg, wd.files)
			wd.files = nil
		}
	case wire.Release:
		w.kept.close()
		m.kept.close()
		m.kept = nil
		_ = w.say(wire.Released, nil) // it waits no longer than for this
	case wire.Prove:
		var msg wire.ProveMsg
		if wd.frame.Decode(&msg) == nil {
			_ = w.say(wire.Proved, msg)
		}
	case wire.Account:
		var msg wire.AccountMsg
		if wd.frame.Decode(&msg) == nil && m.current() == w && len(msg.Totals) <= wire.MaxTotals {
			m.totals = msg.Totals
		}
		_ = w.say(wire.Noted, nil)
	case wire.Heard:
		var msg wire.HeardMsg
		if wd.frame.Decode(&msg) != nil {
			break
		}
		if asked, ok := w.answered(msg.ID); ok {
			switch {
			case !msg.Taken && m.current() == w: // it hands over, and that is known in a moment
				w.later = append(w.later, asked)
			case !msg.Taken:
				m.pass(syscall.Signal(asked.Signal))
			case msg.Unknown:
				_ = w.signal(syscall.Signal(asked.Signal))
			}
		}
	case wire.Launch:
		var msg wire.LaunchMsg
		if wd.frame.Decode(&msg) == nil {
			m.takeLaunch(w, msg, w == m.self || wd.by.Trusted())
		}
	case wire.Link:
		if len(wd.files) == 1 && m.hasRoom() {
			m.adopt(wd.files[0])
			wd.files = nil
		}
	}
	fd.CloseAll(wd.files)
}

// keep takes the listeners of a worker that serves.
func (m *supervisor) keep(w *worker, msg wire.KeepMsg, files []int) {
	if !msg.More || w.kept == nil {
		w.kept.close()
		w.kept = &bundle{}
	}
	if w.kept.count()+len(files) > maxKept {
		fd.CloseAll(files)
		m.cfg.Log.Error("a worker has more listeners than are kept; after a crash the others would be opened anew",
			"worker", w.pid, "limit", maxKept)
	} else if !w.kept.add(msg.Listeners, files) {
		m.cfg.Log.Error("listeners did not arrive; after a crash they would be opened anew: raise the limit of descriptors",
			"worker", w.pid, "named", len(msg.Listeners), "arrived", len(files))
	}
	if m.kept != nil && w.state == stateCurrent {
		m.kept.close() // the worker has them, or does not want them any more
		m.kept = nil
	}
}

// stands follows a worker that says where it stands.
func (m *supervisor) stands(w *worker) {
	m.next = max(m.next, w.generation+1)
	later := w.later
	w.later = nil
	for _, msg := range later {
		w.ask(msg)
	}
	defer m.passAgain(w)
	m.known = m.known || w.state >= stateStarting
	switch {
	case w.state == stateCurrent:
		if !m.served {
			m.served = true
			m.cfg.Log.Info("worker serves", "worker", w.pid)
			m.notify(sdnotify.Ready)
		}
		m.notify(sdnotify.Status(fmt.Sprintf("supervising generation %d, process %d", w.generation, w.pid)))
		if m.upgrade && m.current() == w {
			m.upgrade = false
			m.pass(m.cfg.Signals.Upgrade[0].(syscall.Signal))
		}
		if m.reopen && m.current() == w {
			m.reopen = false
			m.pass(m.cfg.Signals.Reopen[0].(syscall.Signal))
		}
		m.crash = nil
	case w.state >= stateDraining:
		if m.unanswered() {
			m.answerCrash(w)
		}
		w.kept.close()
		w.kept = nil
	}
}

// passAgain passes on what waits for other workers than the one that has just said where it stands: it
// may be that one's now.
func (m *supervisor) passAgain(stands *worker) {
	for _, w := range m.workers {
		if w == stands || w.pid == 0 {
			continue
		}
		later := w.later
		w.later = nil
		for _, msg := range later {
			m.pass(syscall.Signal(msg.Signal))
		}
	}
}

// look settles what has become of workers that have ended.
func (m *supervisor) look() {
	for _, w := range slices.Clone(m.workers) {
		if w.ended() {
			m.workers = slices.DeleteFunc(m.workers, func(x *worker) bool { return x == w })
			m.ended(w)
		}
	}
}

// notify tells the service manager, if there is one.
func (m *supervisor) notify(assignments ...string) {
	if err := m.manager.Send(assignments...); err != nil {
		m.cfg.Log.Warn("the service manager can't be told", "error", err)
	}
}

// openManager returns the service manager's socket: nil without one, or if it has not started this process.
func openManager() (*sdnotify.Socket, error) {
	socket, err := sdnotify.Open(sdnotify.Getenv)
	if socket == nil || err != nil {
		return nil, err
	}
	if err := proc.ManagerOf(sdnotify.Getenv(sdnotify.EnvSocket), os.Getenv).Started(os.Getpid(), false); err != nil {
		return nil, err
	}
	return socket, nil
}

// workerEnv is the workers' environment. What a service manager wants to know it hears from the supervisor.
func (c Config) workerEnv() []string {
	env := os.Environ()
	if c.Own { // packages of the program that were initialized before this one may have changed it
		env, _ = spawn.StartEnv()
	}
	return slices.DeleteFunc(env, func(s string) bool {
		name, _, _ := strings.Cut(s, "=")
		return foreign.IsActivation(name) || slices.Contains(sdnotify.Vars(), name)
	})
}
