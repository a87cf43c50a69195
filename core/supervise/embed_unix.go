//go:build unix

package supervise

import (
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/spawn"
)

// Embedded is a supervisor inside the program: in the process that somebody watches, and that hands the service
// over to other processes. To it this process is a worker as the others are.
type Embedded struct {
	m     *supervisor
	tasks chan func()
	over  chan struct{}
	rests chan struct{} // closed when run has returned
}

// Embed begins to supervise this process. The descriptor is its end of the link, which becomes the caller's.
// It says the same there as any worker does, at first where it stands. launch, and not Config.Argv, is how workers
// are started. stops is called when the service begins to stop.
func Embed(cfg Config, launch spawn.Launch, stops func()) (e *Embedded, link int, err error) {
	conn, link, err := fd.Pair()
	if err != nil {
		return nil, -1, err
	}
	becomeSubreaper()
	m := newSupervisor(cfg, launch)
	m.self = &worker{conn: conn.(*net.UnixConn)}
	m.self.identify(os.Getpid())
	m.self.fromRelease = spawn.OwnRelease()
	m.soak.Serves = m.self.fromRelease
	m.onStop = func() { go stops() }
	e = &Embedded{m: m, tasks: make(chan func(), signalRoom), over: make(chan struct{}), rests: make(chan struct{})}
	m.add(m.self)
	go e.run()
	return e, link, nil
}

func (e *Embedded) run() {
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGCHLD)
	e.m.reap() // those that have ended while it was frozen
	e.m.run(ends, e.tasks)
	signal.Stop(ends)
	frozen := e.m.frozen // Thaw resets it as soon as rests is closed
	close(e.rests)
	if !frozen {
		close(e.over)
	}
}

// do runs a task on the supervisor's goroutine. After the end of the service it does nothing.
func (e *Embedded) do(task func()) (done bool) {
	ran := make(chan struct{})
	select {
	case e.tasks <- func() { defer close(ran); task() }:
	case <-e.over:
		return false
	}
	select {
	case <-ran:
		return true
	case <-e.over:
		return false
	}
}

// Notify delivers to ch, in addition, every signal that a supervisor passes on.
func (e *Embedded) Notify(ch chan<- os.Signal) { signal.Notify(ch, e.m.passedOn()...) }

// Signal passes a signal on as a supervisor does that has received it.
func (e *Embedded) Signal(sig syscall.Signal) {
	select {
	case e.tasks <- func() { e.m.signal(sig) }:
	case <-e.over:
	}
}

// Stop stops the service, as the program has asked for it. A stop signal that has come or is to come for the same
// reason is no second one.
func (e *Embedded) Stop() {
	select {
	case e.tasks <- func() { e.m.stopOnce(e.m.stopSignal()) }:
	case <-e.over:
	}
}

// Stopping reports whether the service stops, or has ended.
func (e *Embedded) Stopping() bool {
	stopping := true
	e.do(func() { stopping = e.m.asked || e.m.ending })
	return stopping
}

// Ended tells how a worker ended that is a child of the program's own, which has waited for it.
func (e *Embedded) Ended(pid int, status syscall.WaitStatus) {
	e.do(func() {
		for _, w := range e.m.workers {
			if w != e.m.self && w.pid == pid && w.status == nil {
				w.exits(status)
			}
		}
		e.m.look()
	})
}

// Returned tells that the background work of this process has returned, which was cut at the end of its drain.
func (e *Embedded) Returned() {
	e.do(func() {
		e.m.selfWorks, e.m.selfRests = false, true
		e.m.tellReturned()
	})
}

// LeaveOrphans leaves those of the workers' descendants to init, from here on. The program stays in this process, and
// waits for its own children alone: orphans that end would stay as zombies.
func (e *Embedded) LeaveOrphans() { leaveOrphans() }

// Over is closed when the service has ended. It is nil for a nil Embedded.
func (e *Embedded) Over() <-chan struct{} {
	if e == nil {
		return nil
	}
	return e.over
}

// Asked reports whether a stop came through this process, by a signal or by Stop, and not through a worker. Call it
// once Over is closed.
func (e *Embedded) Asked() bool { return e.m.asked }

// Code is the exit code of the service, once it is over.
func (e *Embedded) Code() int { return e.m.code }
