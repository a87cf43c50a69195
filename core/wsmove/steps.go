package wsmove

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core"
)

const (
	// tick is how long one sleep is. The steps that wait for other goroutines count sleeps and not time: while theirs had
	// none of the processors, the others may have had none either.
	tick = time.Millisecond
	// lateTick is how long a sleep takes of a goroutine that had to wait for a processor.
	lateTick = 3 * tick
	// settleMost is how many times WithSettle's time is the most on a machine that has no processor to spare.
	settleMost = 5
	// quietTicks is after how many ticks without a write nothing more is expected on a connection.
	quietTicks = 8
	// hungAfter is how long a write has lasted for which the client has no room. A shorter one can be one whose thread
	// waits for a processor.
	hungAfter = 300 * time.Millisecond
)

// leaver is a connection that is to move, or to end.
type leaver struct {
	*conn
	attempt *attempt
}

// leaveAll takes the steps that all connections take together: none is handed off before all are stopped, and no hub
// hears that somebody is gone who only moves.
func (m *mover) leaveAll(drain <-chan struct{}) {
	m.steps.Lock()
	defer m.steps.Unlock()
	if m.leaving() != drain {
		m.watch() // the drain was undone
		return
	}
	began, stops := time.Now(), m.core.stopping()
	var group []leaver
	dismissed := 0
	for _, c := range m.all(drain) {
		if stops || c.s.staysIn(drain) == "" {
			if a := c.begin(); a != nil { // else it is looked after
				group = append(group, leaver{c, a})
			}
			continue
		}
		dismissed++
		go m.dismiss(c, drain)
	}
	m.openGates()
	if len(group) == 0 {
		return
	}

	group, alone := split(group, pauseLimit, func(l leaver) <-chan struct{} { return l.attempt.paused })
	for _, l := range alone {
		go m.finishAlone(l.conn, l.attempt, drain)
	}
	paused := time.Now()
	m.settle(group)
	settled := time.Now()
	for _, l := range group {
		l.seal(l.attempt, l.s.staysIn(drain) == "")
	}
	group, late := split(group, sealLimit, func(l leaver) <-chan struct{} { return l.attempt.sealed })
	for _, l := range late {
		go m.finishAlone(l.conn, l.attempt, drain)
	}
	group = slices.DeleteFunc(group, func(l leaver) bool {
		stays := !l.isSealed()
		if stays { // it has gone, or is about to
			l.undo(l.attempt)
		}
		return stays
	})
	// Now, because this process can end with the last of them.
	m.log.Info("WebSockets leave this process", "stop", stops, "together", len(group), "alone", len(alone)+len(late), "to_reconnect", dismissed,
		"pause", paused.Sub(began).String(), "settle", settled.Sub(paused).String(), "seal", time.Since(settled).String())

	batch := uint64(began.UnixNano()) // of this process one at a time
	var finish sync.WaitGroup
	for _, l := range group {
		finish.Go(func() { m.finish(l.conn, l.attempt, drain, batch, len(group)) })
	}
	finish.Wait()
}

// sleep returns after so many ticks, or when done is closed.
func sleep(d time.Duration, done <-chan struct{}) {
	for n := d / tick; n > 0 && !isClosed(done); n-- {
		time.Sleep(tick)
	}
}

// split waits for what each has, until the limit. It returns those that have it, and those that do not and are not
// closed.
func split(all []leaver, limit time.Duration, what func(leaver) <-chan struct{}) (have, others []leaver) {
	late, done := make(chan struct{}), make(chan struct{})
	defer close(done)
	go func() {
		sleep(limit, done)
		close(late)
	}()
	for _, l := range all {
		select {
		case <-what(l):
		case <-l.closed:
		case <-late:
		}
		gone := isClosed(l.closed) // asked first: one that is sealed can be closed, and moves all the same
		switch {
		case isClosed(what(l)):
			have = append(have, l)
		case !gone:
			others = append(others, l)
		}
	}
	return have, others
}

// settle waits until what was read has reached those who write it to others, as far as that can be seen: each of the
// connections was not written to for some ticks, or the time is over. A connection that gets something again and again
// has a pause in between. Only a sleep after which this goroutine runs soon counts: after a longer one the others, too,
// may have waited for a processor.
func (m *mover) settle(group []leaver) {
	type pulse struct {
		writes  uint64
		quiet   int // ticks
		settled bool
	}
	pulses := make([]pulse, len(group))
	late := time.Now().Add(settleMost * m.settleTime)
	for left := m.settleTime / tick; left > 0 && time.Now().Before(late); {
		began := time.Now()
		time.Sleep(tick)
		runtime.Gosched() // who sleeps comes before those who wait for the processor
		counts, settled := time.Since(began) < lateTick, true
		if counts {
			left--
		}
		for i, l := range group {
			p, now := &pulses[i], l.out.writes.Load()
			switch {
			case p.settled:
			case !counts || now != p.writes || now%2 == 1:
				p.writes, p.quiet = now, 0
			default:
				p.quiet++
			}
			p.settled = p.settled || p.quiet >= m.quiet || l.out.hangs() || isClosed(l.closed)
			settled = settled && p.settled
		}
		if settled {
			return
		}
	}
}

// leaveAlone takes the steps for one connection.
func (m *mover) leaveAlone(c *conn, drain <-chan struct{}) {
	if a := c.begin(); a != nil {
		m.finishAlone(c, a, drain)
	}
}

// finishAlone goes on with the steps for a connection that was not ready with the others.
func (m *mover) finishAlone(c *conn, a *attempt, drain <-chan struct{}) {
	select {
	case <-a.paused:
	case <-c.closed:
		return
	}
	m.settle([]leaver{{c, a}})
	if m.leaving() != drain {
		c.undo(a)
		m.goesOn(c)
		return
	}
	c.seal(a, c.s.staysIn(drain) == "")
	if c.awaitSeal(a) {
		m.finish(c, a, drain, 0, 0)
	}
}

// awaitSeal reports whether c is sealed in the end. Otherwise it is closed, or about to be.
func (c *conn) awaitSeal(a *attempt) bool {
	select {
	case <-a.sealed:
	case <-c.closed:
	}
	if c.isSealed() { // whichever came first
		return true
	}
	if isClosed(a.sealed) {
		c.undo(a)
	}
	return false
}

// finish takes the last steps for a sealed connection: the program's part in it ends, and the new process has it.
func (m *mover) finish(c *conn, a *attempt, drain <-chan struct{}, batch uint64, together int) {
	m.remove(c)
	close(a.ended)
	limit := time.NewTimer(unwindLimit)
	defer limit.Stop()
	for _, part := range []<-chan struct{}{c.closed, c.s.returned} {
		select {
		case <-part:
			continue
		case <-limit.C:
			m.log.Warn("a handler does not end with its WebSocket, which moves: it has to close the connection and to return when it gets wsmove.ErrMoving",
				"waited", unwindLimit.String())
		}
		break
	}
	if why := c.s.staysIn(drain); why != "" {
		m.end(c, why)
		return
	}
	l, err := c.pack(batch, together)
	if err != nil {
		m.log.Error("a WebSocket can't move; its client is told to reconnect", "error", err)
		m.end(c, err.Error())
		return
	}
	b, err := l.encode()
	if err == nil {
		err = m.core.handoff(c.Conn, m.name, b)
	}
	switch {
	case err == nil:
	case errors.Is(err, core.ErrStopped):
		m.endWith(c, codeGoingAway, "the service stops")
	default:
		go m.takeBack(c.Conn, l, drain, err)
	}
}

// end tells a client to go, and to come back unless the service stops.
func (m *mover) end(c *conn, why string) {
	if m.core.stopping() {
		m.endWith(c, codeGoingAway, why)
		return
	}
	m.endWith(c, codeRestart, why)
}

func (m *mover) endWith(c *conn, code uint16, why string) {
	m.log.Debug("a WebSocket ends", "code", code, "why", why)
	c.goodbye(code)
}

// pack returns what goes along with a sealed connection.
func (c *conn) pack(batch uint64, together int) (l *luggage, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the function of OnMove has panicked: %v\n%s", p, debug.Stack())
		}
	}()
	state := c.s.nextState()
	if len(state) > MaxState {
		return nil, fmt.Errorf("the state that the function of OnMove has returned has %d bytes, and %d is the most", len(state), MaxState)
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return &luggage{
		meta:    meta{Batch: batch, Together: together, Protocol: c.s.said.protocol, Extensions: c.s.said.extensions},
		request: c.s.request, unread: c.in.unread(), unsent: c.out.unsent, state: state,
	}, nil
}
