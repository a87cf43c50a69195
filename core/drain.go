package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/timing"
)

// sweep lets the accept loops and the readers of datagrams take what is queued, and no more.
func sweep(listeners []*listener, sockets []*PacketConn) {
	for _, l := range listeners {
		l.sweep(timing.Sweep)
	}
	for _, c := range sockets {
		c.endAt(time.Now().Add(timing.Sweep))
	}
	time.Sleep(timing.Sweep)
}

// endReading ends the reads of a process that has handed over when the next generation reads: in
// between the queue of a socket would overflow. Both may read at the same time.
func endReading(sockets []*PacketConn, next *peer.Next) {
	if len(sockets) > 0 && next != nil && !next.Plain {
		select {
		case <-next.Reads:
		case <-next.Frames.Silent:
		case <-next.Frames.Ignored:
		case <-time.After(timing.Say): // it may be of a version that does not say so
		}
	}
	for _, c := range sockets {
		c.endAt(conns.LongAgo)
	}
}

// closeAll closes the listeners. One whose accept loop is blocked keeps none of the others open.
func closeAll(listeners []*listener, unlink bool) {
	for _, l := range listeners {
		l.setNonblock() // all of them, because inTime interrupts the accept loops once
	}
	inTime(func() {
		var closing sync.WaitGroup
		for _, l := range listeners {
			closing.Go(func() {
				_ = l.close(unlink)
				l.settle()
			})
		}
		closing.Wait()
	})
}

// pauseAll makes the listeners accept nothing until resumeAll.
func pauseAll(listeners []*listener) {
	paused := slices.DeleteFunc(slices.Clone(listeners), func(l *listener) bool { return !l.pause() })
	inTime(func() {
		for _, l := range paused {
			l.settle()
		}
	})
}

// resumeAll undoes pauseAll.
func resumeAll(listeners []*listener) {
	for _, l := range listeners {
		l.resume()
	}
}

// inTime runs f, which closes or pauses listeners, and leaves it behind after timing.Close. Another process that
// has the socket can have made it blocking: then an accept loop waits in the kernel, and does not notice.
func inTime(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return
	case <-time.After(timing.Blocked):
		_ = fd.Interrupt() // where it is not supported the loop stays until a client comes
	}
	select {
	case <-done:
	case <-time.After(timing.Close):
	}
}

// drainer finishes what a generation has accepted. The rungs, which the numbers
// below refer to, are in docs/drain.md.
type drainer struct {
	u        *Upgrader
	servers  []*server       // no more are added while it drains
	replaced bool            // another generation serves
	alone    atomic.Bool     // ... no more: the service stops
	work     <-chan struct{} // closed when the background work has returned; nil if there is none, or it was cut
	stays    bool            // this process supervises the next one when it has drained
	leaves   bool            // it sees to the generations before this one from the end of the drain on
	outgoing *outgoing       // the handover with a way back; nil without
	began    time.Time
	deadline time.Time

	steps   sync.WaitGroup // of shutDown: a Shutdown that is yet to begin
	told    bool           // no more connections move, and HTTP/2 was told
	unmoved time.Time      // since when connections that were to move do not; zero: they do

	thrift thrift
	pace   *conns.Pace // of what is done to many connections; its goroutine's

	released chan struct{} // closed when there is no way back, or there was none
	undone   chan struct{} // closed when the service was taken back
}

// outcome is the result of a drain that has ended with err. What was cut at a handover is no error of this
// process, which has nothing left to do: the service goes on. It is in the log and the ledger.
func (d *drainer) outcome(err error) error {
	if d.replaced {
		return nil
	}
	return err
}

// errTakenBack is the result of a drain that was undone: this process serves again.
var errTakenBack = errors.New("the drain was undone")

// newDrainer makes the drainer of a drain. With an outgoing handover there is a way back.
func newDrainer(u *Upgrader, began time.Time, replaced bool, h *outgoing) *drainer {
	d := &drainer{
		u: u, servers: u.servers.all(), replaced: replaced, outgoing: h, began: began,
		work: u.background.returned, leaves: replaced && u.leavesOlder(),
		released: make(chan struct{}), undone: make(chan struct{}),
	}
	d.deadline = d.began.Add(u.cfg.drainTimeout)
	d.pace = conns.NewPace(u.conns.Served, d.began.Add(u.cfg.drainTimeout/2))
	d.pace.MakesUp = timing.IdleTick
	if h == nil {
		close(d.released)
	}
	return d
}

// release ends the way back. It is the lifecycle's, and called once.
func (d *drainer) release() {
	close(d.released)
	d.u.conns.Nudge()
}

// back undoes the drain: nothing is closed or cut by it from here on. It is the lifecycle's, and
// called once.
func (d *drainer) back() { close(d.undone) }

// run returns when everything that was accepted has been answered, closed or cut, with
// errTakenBack if the drain was undone.
func (d *drainer) run() error {
	if isClosed(d.undone) {
		return errTakenBack
	}
	if isClosed(d.u.phase.accepting) { // else nothing was accepted
		timeout := d.u.cfg.drainTimeout.String()
		if d.u.cfg.drainTimeout >= timing.Unlimited {
			timeout = "none"
		}
		d.u.log.Info("draining", "timeout", timeout, "handover", d.replaced, "open", d.u.remaining().String())
	}
	d.tell()
	err := d.finish()
	if !d.mayEnd() {
		return errTakenBack
	}
	if d.outgoing != nil { // the accept loops are left, and the datagram sockets
		if soon := time.Now().Add(timing.StopLinger); d.deadline.Before(soon) {
			d.deadline = soon // their readers hear only now that it is over
		}
		err = cmp.Or(err, d.finish())
	}
	if d.leaves {
		d.rest()
	}
	for !d.u.conns.CloseEmpty() { // those before have moved connections here until now
		err = cmp.Or(err, d.finish())
	}
	if m := d.u.conns.MovesBy(); m != nil {
		m.Settle()
		counts, _ := d.u.conns.Account()
		d.u.noteDrain(control.StepMoved, count(int(counts.Moved.Total()), "connection")+" moved", 0, int(counts.Moved.Total()))
	}
	d.steps.Wait() // its hooks are the program's last word to many
	close(d.u.phase.finished)
	if !d.stays {
		close(d.u.phase.goesOn)
	}
	for _, s := range d.servers {
		s.close()
	}
	if before := d.awaits(); before != nil {
		select {
		case <-before: // this generation's duty to the one before
		case <-d.u.phase.cut:
		}
	}
	d.u.books.drained(time.Since(d.began))
	d.u.noteDrained(d.replaced)
	return d.outcome(err)
}

// awaits is closed when the generations before are seen off, if that is this one's to do. It is nil otherwise.
func (d *drainer) awaits() <-chan struct{} {
	if !d.replaced || d.leaves {
		return nil
	}
	return d.u.seenOffAll()
}

// mayEnd reports whether this process may end, now that it has nothing left: the new one answers once more. One that
// stands still, or has a SIGKILL on its way, is there and does not answer.
func (d *drainer) mayEnd() bool {
	if !isClosed(d.released) {
		d.awaitSign()
		d.u.post(func(l *lifecycle) { l.lastLook(d, d.outgoing) })
	}
	select {
	case <-d.released:
		return true
	case <-d.undone:
		return false
	}
}

// awaitSign returns when the new process has answered. Without a word of it its end decides, and a second stop.
func (d *drainer) awaitSign() {
	next := d.outgoing.next
	if next.Plain {
		return
	}
	answered, err := next.Ask()
	for errors.Is(err, os.ErrDeadlineExceeded) && !d.signIsMoot() { // it reads nothing, and its socket is full
		answered, err = next.Ask()
	}
	if err != nil {
		return // it is gone, or this process has hung up
	}
	select {
	case <-answered:
	case <-next.Frames.Silent:
	case <-d.released:
	case <-d.undone:
	case <-d.u.phase.cut:
	}
}

// signIsMoot reports whether something else than a sign of the new process has decided.
func (d *drainer) signIsMoot() bool {
	return isClosed(d.outgoing.next.Frames.Silent) || isClosed(d.released) || isClosed(d.undone) || isClosed(d.u.phase.cut)
}

// tell does rungs 3 and 4. Shutdown of the program's own servers runs their
// RegisterOnShutdown hooks; it sees no connection. A server that
// the program itself has shut down is left alone: the hooks must not run twice.
func (d *drainer) tell() {
	d.tellHTTP2()
	told := make(map[*http.Server]bool)
	for _, s := range d.servers {
		told[s.user] = told[s.user] || s.gate.closed.Load()
	}
	for _, s := range d.servers {
		if !told[s.user] {
			told[s.user] = true
			d.shutDown(s)
		}
		if s.own == nil { // it is not in the table
			_ = s.ln.Close()
		}
	}
}

// shutDown calls Shutdown of the program's server. If that says GOAWAY on connections that handlers have taken over
// (http2.ConfigureServer), it is the last of two steps there, and has to wait for the answer to the first.
func (d *drainer) shutDown(s *server) {
	begin := func() {
		for _, same := range d.servers {
			if same.user == s.user {
				same.gate.expect()
			}
		}
		go func() { _ = s.user.Shutdown(context.Background()) }()
	}
	var taken []*h2.Conn
	if s.configured {
		taken = d.u.takenHTTP2()
	}
	if len(taken) == 0 {
		begin()
		return
	}
	d.steps.Go(func() {
		late := time.Now().Add(timing.LastStep)
		for _, f := range taken {
			f.AwaitAnswer(time.Until(late))
		}
		if !isClosed(d.undone) {
			begin()
		}
	})
}

// finish waits for the connections, and closes what is idle when its time has
// come (rung 5). Rung 2 is the servers' own: ServeHTTP.
func (d *drainer) finish() error {
	deadline := time.NewTimer(time.Until(d.deadline))
	defer deadline.Stop()
	tick := time.NewTicker(timing.IdleTick)
	defer tick.Stop()
	before := d.awaits() // closed when those before have drained or are gone: until then they move connections here
	work := d.work
	for !d.over() || before != nil || work != nil {
		select {
		case <-d.u.conns.Changes():
		case <-work:
			work = nil
		case <-before:
			before = nil
		case <-tick.C:
			d.tellUnmoved()
			d.closeIdle()
			if d.replaced {
				counts, _ := d.u.conns.Account()
				d.thrift.look(counts.Moved.Total())
			}
		case <-d.undone:
			return errTakenBack
		case <-deadline.C:
			return d.cutRest("the deadline has come")
		case <-d.u.phase.cut:
			return d.cutRest(d.u.phase.cutWhy)
		}
	}
	return nil
}

// over reports whether nothing is left: the accept loops have ended and every connection they
// took is closed. As long as there is a way back the loops wait, and so do the readers of
// datagrams: they are left then.
func (d *drainer) over() bool {
	way := !isClosed(d.released)
	for _, s := range d.servers {
		if !isClosed(s.ended) && !(way && s.own != nil && !isClosed(s.own.closed)) {
			return false
		}
	}
	return d.u.conns.Empty(!way)
}

// closeIdle closes idle connections, longest idle first. After a handover their
// clients have until shortly before the deadline to ask, learn from the answer
// and leave; the rest is spread over that last stretch.
func (d *drainer) closeIdle() {
	if !d.replaced || d.alone.Load() {
		linger := min(timing.StopLinger, d.u.cfg.drainTimeout/2)
		if time.Since(d.began) < linger {
			return
		}
		if !d.pace.Rests() {
			d.dismissPaced(d.u.conns.QuietFor(linger))
		}
		return
	}
	window := min(d.u.cfg.drainTimeout/10, timing.IdleWindow)
	left := time.Until(d.deadline)
	if left > window {
		return
	}
	if d.u.conns.EnterLastStretch(d.undone) {
		d.askToLeave(d.u.conns.HTTP2ThatStays(true))
	}
	quiet := d.quiet()
	ticks := int(max(left-2*timing.IdleTick, 0)/timing.IdleTick) + 1
	dismiss(quiet[:(len(quiet)+ticks-1)/ticks])
}

// dismissPaced closes those that are still idle. While others have requests it takes some at a time.
func (d *drainer) dismissPaced(quiet []conns.Waiting) {
	for len(quiet) > 0 && !d.pace.Rests() {
		n, began := min(len(quiet), d.pace.Batch()), time.Now()
		dismiss(quiet[:n])
		quiet = quiet[n:]
		d.pace.Worked(time.Since(began), len(quiet), false)
	}
}

// quiet returns the idle connections, longest idle first, without any that has come after the drain
// was undone.
func (d *drainer) quiet() []conns.Waiting {
	quiet := d.u.conns.Quiet()
	if isClosed(d.undone) {
		return nil
	}
	return quiet
}

// dismiss closes those that are still idle.
func dismiss(quiet []conns.Waiting) {
	for _, c := range quiet {
		c.DismissIdle()
	}
}

// cutRest does rung 6.
func (d *drainer) cutRest(why string) error {
	if !d.u.conns.Close(d.undone) {
		return errTakenBack
	}
	if m := d.u.conns.MovesBy(); m != nil {
		m.Settle() // it holds the descriptors of those that have no answer
	}
	dismiss(d.quiet())
	sockets, left := isClosed(d.released), d.u.remaining()
	if !sockets {
		left.Sockets = 0 // their readers wait
	}
	if d.work == nil {
		left.Background = 0 // there is none, or it was cut before
	}
	if left.none() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), timing.Hook)
	defer cancel()
	for _, hook := range d.u.cfg.onDrainLimit {
		if err := runHook(ctx, func(context.Context) error { hook(left); return nil }); err != nil && !errors.Is(err, ErrTimeout) {
			d.u.log.Error("a drain timeout hook failed", "error", err)
		}
	}
	left = remainingOf(d.u.conns.CutAll(sockets, d.undone))
	left.Background = d.cutWork()
	if left.none() {
		return nil // finished while the hooks ran, or taken back
	}
	d.u.log.Warn("drain cut short", "why", why, "requests", left.Requests, "connections", left.Connections,
		"hijacked", left.Hijacked, "sockets", left.Sockets, "background", left.Background)
	return fmt.Errorf("%w: %s with %v left", ErrCut, why, left)
}

// cutWork gives up the background work that has not returned, and returns how much that is. It ends with the process.
func (d *drainer) cutWork() int {
	b := &d.u.background
	if d.work == nil || isClosed(d.undone) {
		return 0
	}
	d.work = nil
	n := b.running.Load()
	b.cut.Add(n)
	return int(n)
}
