package core

import (
	"errors"
	"net"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// What a process keeps of its free descriptors when it takes connections over, for
// its own files and for new connections: a tenth, and never less than 64.
const (
	// adoptedAlone is how many connections are worth a goroutine. A batch that is small, because clients are being served,
	// leaves the other processors to these.
	adoptedAlone = 64

	minReserve  = 64
	reservePart = 10
)

// makeRoom counts how many connections this process can take over.
func (u *Upgrader) makeRoom() int {
	room := 0
	if u.cfg.handoff && conns.SelfTest() == nil {
		free, limit, seen := fd.Free()
		room = max(free-max(minReserve, free/reservePart), 0)
		const none = "no connections move to this process; the old one closes each when it is idle"
		switch {
		case !seen:
			u.log.Warn(none, "why", "it can't see which descriptors are open: there is neither /dev/fd nor /proc/self/fd")
		case room == 0:
			u.log.Warn(none, "why", "too few descriptors are free: raise LimitNOFILE= (systemd) or ulimit -n",
				"free", free, "limit", limit, "kept", minReserve)
		}
	}
	u.room.Store(int64(room))
	return room
}

// takes is what this process says that it takes besides HTTP/1 in the clear.
func (u *Upgrader) takes() []string {
	for _, s := range u.servers.all() {
		if s.moves && s.follows && u.cfg.handoff {
			return []string{wire.TakesHTTP2}
		}
	}
	return nil
}

// receive takes over the connections of an Offer, whose descriptors are files. They
// are looked after once the answer is on its way; if it does not arrive, the old
// process is no more. An Offer that can't be read has no answer. They are the old process's if the answer can't be
// written and that process is there: this one hangs up.
func (u *Upgrader) receive(p *peer.Old, f wire.Frame, files []int) error {
	var msg wire.OfferMsg
	if err := f.Decode(&msg); err != nil {
		fd.CloseAll(files)
		return err
	}
	starts, refused := u.adoptConns(msg.Conns, files)
	u.log.Debug("connections taken over", "old_pid", p.PID(), "count", len(starts), "refused", len(refused))
	p.Adopted += uint64(len(starts))
	served := u.conns.Served()
	taken := wire.TakenMsg{
		Refused: refused, Room: int(max(u.room.Add(-int64(len(starts))), 0)),
		Busy: served != p.Served,
	}
	p.Served = served
	err := p.Say(wire.Taken, taken)
	unheard := err != nil && !peer.HungUp(err)
	if err != nil {
		u.log.Debug("the old process can't be told which connections were taken", "old_pid", p.PID(), "error", err)
	}
	if unheard {
		p.Adopted -= uint64(len(starts))
		p.HangUp()
	}
	for _, start := range starts {
		start(!unheard)
	}
	return nil // after a hang-up the next read ends
}

// adoptConns takes over what it can, on all processors: the old process waits. Files
// that the kernel had no room for are missing at the end.
func (u *Upgrader) adoptConns(offered []wire.Conn, files []int) (starts []func(bool), refused []wire.Refusal) {
	n := min(len(offered), len(files))
	fd.CloseAll(files[n:])
	all := make([]func(bool), len(offered))
	errs := make([]error, len(offered))
	for i := range errs[n:] {
		errs[n+i] = conns.ErrNoRoom
	}
	var wg sync.WaitGroup
	workers := max(min(runtime.GOMAXPROCS(0), n/adoptedAlone), 1)
	for w := range workers {
		wg.Go(func() {
			a := fd.NewAdopter()
			defer a.Close()
			for i := w; i < n; i += workers {
				all[i], errs[i] = u.adoptConn(a, offered[i], files[i])
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			refused = append(refused, wire.Refuse(i, err.Error()))
			continue
		}
		starts = append(starts, all[i])
	}
	return starts, refused
}

// adoptConn takes one connection over, and returns what begins to look after it, or closes it.
// The descriptor is closed or the connection's.
func (u *Upgrader) adoptConn(a *fd.Adopter, what wire.Conn, s int) (start func(looksAfter bool), err error) {
	var state *h2.State
	if what.IsHTTP2() {
		if state, err = h2.ParseState(what.State); err != nil {
			_ = fd.Close(s)
			return nil, err
		}
		what.Name, what.State = "", nil
	}
	if start := u.park(what, s, state); start != nil {
		return start, nil
	}
	handler := adopters.find(what.Name)
	nc, err := a.Adopt(s)
	if err != nil {
		return nil, err
	}
	srv := u.sideFor(what.Listener, nc.LocalAddr())
	switch {
	case u.adoptsNone():
		err = errors.New("the new process is stopping")
	case what.Name != "" && handler == nil:
		err = errors.New("the new process has no OnHandoff for it")
	case what.Name == "" && srv == nil:
		err = errors.New("the new process has no plaintext server for it")
	case state != nil:
		err = srv.TakesHTTP2(state)
	}
	var c *conns.Conn
	if err == nil {
		if c = u.conns.Adopt(nc, srv, what, state); c == nil {
			err = errors.New("the new process has ended its drain")
		}
	}
	switch {
	case err != nil:
		_ = nc.Close()
		return nil, err
	case srv != nil && nc.RemoteAddr() == nil:
		// Reset on its way here. A ConnContext or ConnState need not know that such
		// a connection has no address.
		return func(bool) { _ = c.Close() }, nil
	}
	return func(looksAfter bool) {
		if looksAfter {
			c.NoteTaken()
		}
		switch {
		case !looksAfter:
			_ = c.Close()
		case state != nil:
			go c.ServeAdopted()
		case srv != nil:
			go c.Park()
		default:
			go u.runAdopter(c, what, handler)
		}
	}, nil
}

// park takes over a TCP connection that waits for a request. Its descriptor is all that is needed until that comes. It
// returns nil, and s is the caller's, if it has to be a connection at once, or is to be refused.
func (u *Upgrader) park(what wire.Conn, s int, state *h2.State) (start func(looksAfter bool)) {
	local := fd.LocalTCP(s)
	if local == nil || what.Name != "" || u.adoptsNone() {
		return nil
	}
	srv := u.sideFor(what.Listener, local)
	if srv == nil || state != nil && srv.TakesHTTP2(state) != nil {
		return nil
	}
	return u.conns.Park(s, srv, what, state)
}

// adoptsNone reports whether this process stops, so that it takes no more connections over.
func (u *Upgrader) adoptsNone() bool { return u.State() >= StateStopping && u.phase.draining.Load() }

// runAdopter gives a connection of the program's own to its OnHandoff.
func (u *Upgrader) runAdopter(c *conns.Conn, what wire.Conn, handler func(net.Conn, []byte)) {
	select {
	case <-u.phase.accepting:
	case <-u.phase.finished:
		_ = c.Close()
		return
	}
	defer func() {
		if p := recover(); p != nil {
			u.log.Error("an OnHandoff function panicked", "name", what.Name, "panic", p, "stack", string(debug.Stack()))
			_ = c.Close()
		}
	}()
	handler(c.Give(), what.State)
}

// adoption is the second listener of the inner server: it accepts what was parked.
// It does so while the generation drains, too.
type adoption server

// Addr returns the listener's address.
func (a *adoption) Addr() net.Addr { return a.ln.Addr() }

// Close does nothing: there is nothing of its own.
func (a *adoption) Close() error { return nil }

// Accept returns the next connection on which a request has come.
func (a *adoption) Accept() (net.Conn, error) {
	a.turns.adopt.end()
	select {
	case <-a.u.phase.accepting:
	case <-a.u.phase.finished:
		return nil, net.ErrClosed
	}
	select {
	case c := <-a.side.Adopted:
		a.turns.adopt.begin(&a.callbacks)
		return c, nil
	case <-a.u.phase.finished:
		return nil, net.ErrClosed
	}
}

// reconcile compares the old process's count of moved connections with this one's.
func (u *Upgrader) reconcile(p *peer.Old, f wire.Frame) {
	var msg wire.MovedMsg
	if err := f.Decode(&msg); err != nil || msg.Moved != p.Adopted {
		u.log.Error("the two processes count the moved connections differently",
			"old_pid", p.PID(), "moved", msg.Moved, "adopted", p.Adopted, "error", err)
		return
	}
	u.log.Info("connections adopted", "old_pid", p.PID(), "count", p.Adopted)
}
