package core

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/tls13"
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
	kinds := make(map[string]bool)
	for _, s := range u.servers.all() {
		if s.moves {
			kinds[wire.TakesHTTP2] = kinds[wire.TakesHTTP2] || s.follows
			kinds[wire.TakesTLS] = kinds[wire.TakesTLS] || s.secure
		}
	}
	for _, l := range u.moving.all() {
		kinds[wire.TakesHTTP2] = true
		kinds[wire.TakesTLS] = kinds[wire.TakesTLS] || l.isSecure()
	}
	maps.DeleteFunc(kinds, func(_ string, takes bool) bool { return !takes })
	return slices.Sorted(maps.Keys(kinds))
}

// receive takes over the connections of an Offer, whose descriptors are files. They
// are looked after once the answer is on its way; if it does not arrive, the old
// process is no more. An Offer that can't be read has no answer. They are the old process's if the answer can't be
// written and that process is there: this one hangs up.
func (u *Upgrader) receive(p *peer.Old, f wire.Frame, files []int) error {
	defer clear(f.Payload) // it may have secrets
	msg, secrets, err := f.DecodeOffer()
	if err != nil {
		fd.CloseAll(files)
		return err
	}
	starts, refused := u.adoptConns(msg.Conns, secrets, files)
	u.log.Debug("connections taken over", "old_pid", p.PID(), "count", len(starts), "refused", len(refused))
	p.Adopted += uint64(len(starts))
	served := u.conns.Served()
	taken := wire.TakenMsg{
		Refused: refused, Room: int(max(u.room.Add(-int64(len(starts))), 0)),
		Busy: served != p.Served,
	}
	p.Served = served
	err = p.Say(wire.Taken, taken)
	// That one of the two has hung up does not say that the old process is no more.
	unheard := err != nil && (!peer.HungUp(err) || errors.Is(err, net.ErrClosed) || p.Survives())
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
func (u *Upgrader) adoptConns(offered []wire.Conn, secrets [][]byte, files []int) (starts []func(bool), refused []wire.Refusal) {
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
				all[i], errs[i] = u.adoptConn(a, offered[i], secrets[i], files[i])
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

// errDrainEnded is why a process takes no connection over that drains itself.
var errDrainEnded = errors.New("the new process has ended its drain")

func errNoServer(what wire.Conn) error {
	if what.TLS > 0 {
		return errors.New("the new process has no server for it whose TLS connections move")
	}
	return errors.New("the new process has no plaintext server for it")
}

// adoptConn takes one connection over, and returns what begins to look after it, or closes it.
// The descriptor is closed or the connection's.
func (u *Upgrader) adoptConn(a *fd.Adopter, what wire.Conn, secret []byte, s int) (start func(looksAfter bool), err error) {
	var state *h2.State
	if what.IsHTTP2() {
		if state, err = h2.ParseState(what.State); err != nil {
			_ = fd.Close(s)
			return nil, err
		}
		what.Name, what.State = "", nil
	}
	holds := false // a part of a request has come along
	if secret != nil {
		if holds, err = tls13.Check(secret); err != nil {
			_ = fd.Close(s)
			return nil, err
		}
	}
	if !holds {
		if start := u.park(what, s, state, secret); start != nil {
			return start, nil
		}
	}
	handler := adopters.find(what.Name)
	nc, err := a.Adopt(s)
	if err != nil {
		return nil, err
	}
	srv := u.sideFor(what, state != nil, nc.LocalAddr())
	switch {
	case u.adoptsNone():
		err = errors.New("the new process is stopping")
	case what.Name != "" && handler == nil:
		err = errors.New("the new process has no OnHandoff for it")
	case what.Name == "" && srv == nil:
		err = errNoServer(what)
	case secret != nil && u.conns.IsClosed():
		err = errDrainEnded
	case srv != nil:
		err = srv.Takes(state)
	}
	begin := func(c *conns.Conn) {
		switch {
		case what.Name != "":
			go u.runAdopter(c, what, handler)
		case c.IsReset():
			_ = c.Close()
		case state != nil, holds:
			go c.ServeAdopted()
		default:
			go c.Park()
		}
	}
	if err == nil && secret != nil {
		var over *tls13.Arrived
		if over, err = tls13.Adopt(nc, secret); err == nil {
			return func(looksAfter bool) { u.beginTLS(nc, over, looksAfter, srv, what, state, begin) }, nil
		}
	}
	var c *conns.Conn
	if err == nil {
		if c = u.conns.Adopt(nc, srv, what, state); c == nil {
			err = errDrainEnded
		}
	}
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	return func(looksAfter bool) {
		if !looksAfter {
			_ = c.Close()
			return
		}
		conns.NoteTaken(nc)
		begin(c)
	}, nil
}

// beginTLS is for a connection whose TLS has arrived. Until the old process knows that it is taken, nothing may be said on
// it, not even goodbye.
func (u *Upgrader) beginTLS(
	nc net.Conn, over *tls13.Arrived, looksAfter bool, srv *conns.Side, what wire.Conn, state *h2.State, begin func(*conns.Conn),
) {
	if !looksAfter {
		over.Drop()
		_ = nc.Close()
		return
	}
	conns.NoteTaken(nc) // before anything is encrypted
	conn := over.Taken()
	if c := u.conns.Adopt(conn, srv, what, state); c != nil {
		begin(c)
	} else {
		_ = conn.Close()
	}
}

// park takes over a TCP connection that waits for a request. Its descriptor is all that is needed until that comes. It
// returns nil, and s is the caller's, if it has to be a connection at once, or is to be refused.
func (u *Upgrader) park(what wire.Conn, s int, state *h2.State, secret []byte) (start func(looksAfter bool)) {
	local := fd.LocalTCP(s)
	if local == nil || what.Name != "" || u.adoptsNone() {
		return nil
	}
	srv := u.sideFor(what, state != nil, local)
	if srv == nil || !srv.Parks() || srv.Takes(state) != nil {
		return nil
	}
	return u.conns.Park(s, srv, what, state, secret)
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
			u.log.Error("an OnHandoff function panicked", "name", what.Name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			_ = c.Close()
		}
	}()
	handler(c.Give(), what.State)
}

// adoption is a listener of a server for what comes to it in another way than by an accept: what was parked, and TLS
// connections that gracex has shaken hands with. It accepts while the generation drains, too.
type adoption struct {
	*server
	side *conns.Side
	turn *turn
}

// Addr returns the listener's address.
func (a *adoption) Addr() net.Addr { return a.ln.Addr() }

// Close does nothing: there is nothing of its own.
func (a *adoption) Close() error { return nil }

// Accept returns the next connection on which a request has come.
func (a *adoption) Accept() (net.Conn, error) {
	a.turn.end()
	select {
	case <-a.u.phase.accepting:
	case <-a.u.phase.finished:
		return nil, net.ErrClosed
	}
	select {
	case c := <-a.side.Adopted:
		a.turn.begin(&a.callbacks)
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
