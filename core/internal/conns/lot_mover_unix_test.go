//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package conns

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

// answerer takes connections: answer gets the descriptors of each offer.
type answerer struct {
	answer func(msg wire.OfferMsg, files []int) (wire.TakenMsg, error)
}

func (a *answerer) Exchange(offer []byte, files []int, _ <-chan struct{}, _ func() bool) (f wire.Frame, err error) {
	r, w := net.Pipe()
	defer r.Close()
	go func() {
		_, _ = w.Write(offer)
		_ = w.Close()
	}()
	if f, err = wire.Read(r); err != nil {
		return f, err
	}
	var msg wire.OfferMsg
	if err := f.Decode(&msg); err != nil {
		return f, err
	}
	taken, err := a.answer(msg, files)
	if err != nil {
		return f, err
	}
	b, err := wire.Append(nil, wire.Taken, taken)
	if err != nil {
		return f, err
	}
	r2, w2 := net.Pipe()
	defer r2.Close()
	go func() {
		_, _ = w2.Write(b)
		_ = w2.Close()
	}()
	return wire.Read(r2)
}

func (*answerer) Room() int         { return 1000 }
func (*answerer) Takes(string) bool { return true }
func (*answerer) Interrupt()        {}
func (*answerer) SayMoved(uint64)   {}

// mover makes a mover of the table.
func (l *lotTable) mover(share float64, answer func(wire.OfferMsg, []int) (wire.TakenMsg, error)) *Mover {
	m := NewMover(&answerer{answer}, l.Table, share, share >= 1, time.Minute, slog.New(slog.DiscardHandler))
	l.MoveBy(m)
	return m
}

// moves starts a mover of the table.
func (l *lotTable) moves(t *testing.T, share float64, answer func(wire.OfferMsg, []int) (wire.TakenMsg, error)) *Mover {
	t.Helper()
	m := l.mover(share, answer)
	m.Start()
	t.Cleanup(m.stop)
	return m
}

// TestLot_MovesOn what is parked, with what was not read, and also what comes while it moves.
func TestLot_MovesOn(t *testing.T) {
	t.Parallel()
	l, next := newLotTable(t, &http.Server{}), newLotTable(t, &http.Server{})
	const hour = int64(time.Hour / time.Millisecond)
	c := l.parks(t, wire.Conn{IdleMillis: hour, Unused: true})
	asked := make(chan struct{})
	l.moves(t, 1, func(msg wire.OfferMsg, files []int) (taken wire.TakenMsg, err error) {
		<-asked
		for i, s := range files {
			if w := msg.Conns[i]; w.Listener.Address != "here" || w.IdleMillis < hour || !w.Unused || w.Name != "" {
				t.Errorf("offered %+v", w)
			}
			begin := next.Park(must.Get(fd.DupOf(s))(t), next.side, msg.Conns[i], nil, nil)
			begin(true)
		}
		return wire.TakenMsg{Room: 10}, nil
	})
	send(t, c) // here while it is offered, or before
	close(asked)
	select {
	case served := <-next.side.Adopted:
		expectReads(t, served, "x")
	case served := <-l.side.Adopted: // before
		expectReads(t, served, "x")
		must.Do(t, served.Close())
	}
	late, begin := l.arrives(t, wire.Conn{IdleMillis: hour, Unused: true})
	send(t, late)
	l.deaf(t)
	begin(true)
	expectReads(t, <-next.side.Adopted, "x")
	awaits(t, "none is left", func() bool { return l.Empty(true) })
	if n, _ := l.Account(); n.Adopted != 2 || n.Moved.Total() < 1 || n.Refused != 0 {
		t.Errorf("counts %+v", n)
	}
}

// TestLot_KeepsWhatIsRefused, and does not offer it to the same process again.
func TestLot_KeepsWhatIsRefused(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(wire.OfferMsg, []int) (wire.TakenMsg, error){
		"by the new process": func(wire.OfferMsg, []int) (wire.TakenMsg, error) {
			return wire.TakenMsg{Refused: []wire.Refusal{{Conn: 0, Reason: "no"}}, Room: 10}, nil
		},
		"because that has gone": func(wire.OfferMsg, []int) (wire.TakenMsg, error) {
			return wire.TakenMsg{}, errors.New("it has gone")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLotTable(t, &http.Server{})
			offered := make(chan struct{}, 10)
			m := l.mover(1, func(msg wire.OfferMsg, files []int) (wire.TakenMsg, error) {
				offered <- struct{}{}
				return answer(msg, files)
			})
			c := l.parks(t, wire.Conn{}) // finds the mover, and the mover finds it
			m.Start()
			t.Cleanup(m.stop)
			<-offered
			awaits(t, "it waits again", func() bool { return len(l.Quiet()) == 1 })
			l.Quiet()[0].(*parked).wake()
			send(t, c)
			served := <-l.side.Adopted
			if served.boundary.refused != m || len(offered) > 0 {
				t.Errorf("refused by %p, offered %d times more", served.boundary.refused, len(offered))
			}
			expectReads(t, served, "x")
			if n, _ := l.Account(); n.Moved.Total() != 0 || n.Refused != 1 {
				t.Errorf("counts %+v", n)
			}
		})
	}
}

// TestLot_ClosesWhatHasNoAnswer: the new process may have it.
func TestLot_ClosesWhatHasNoAnswer(t *testing.T) {
	t.Parallel()
	l := newLotTable(t, &http.Server{})
	c := l.parks(t, wire.Conn{})
	l.moves(t, 1, func(wire.OfferMsg, []int) (wire.TakenMsg, error) { return wire.TakenMsg{}, peer.ErrNoAnswer })
	expectEnd(t, c)
	awaits(t, "none is left", func() bool { return l.Empty(true) })
	if n, _ := l.Account(); n.Moved.Total() != 0 || n.Refused != 0 {
		t.Errorf("counts %+v", n)
	}
}

// TestLot_MovesAShare during the probation, and the rest when that is over.
func TestLot_MovesAShare(t *testing.T) {
	t.Parallel()
	l := newLotTable(t, &http.Server{})
	for range 10 {
		l.parks(t, wire.Conn{})
	}
	m := l.moves(t, 0.25, func(wire.OfferMsg, []int) (wire.TakenMsg, error) { return wire.TakenMsg{Room: 1}, nil })
	awaits(t, "a share moves", func() bool { return l.holds() == 7 })
	c := l.parks(t, wire.Conn{}) // is not chosen
	send(t, c)
	served := <-l.side.Adopted
	if l.Table.moves(served) != nil {
		t.Error("it would move")
	}
	m.Widen()
	awaits(t, "the rest moves", func() bool { return l.holds() == 0 })
	if n, _ := l.Account(); n.Moved.Total() != 10 {
		t.Errorf("counts %+v", n)
	}
}

// TestLot_ChosenOneMoves, also if a request comes before it is its turn.
func TestLot_ChosenOneMoves(t *testing.T) {
	t.Parallel()
	l := newLotTable(t, &http.Server{})
	c := l.parks(t, wire.Conn{})
	m := l.mover(0.1, nil)
	if n := len(m.choose()); n != 1 {
		t.Errorf("%d are chosen", n)
	}
	send(t, c)
	if served := <-l.side.Adopted; l.Table.moves(served) != m {
		t.Error("it stays")
	}
	m.Retire()
	m.Start()
}

// TestLot_CutWhileItIsOffered, by a process whose upgrade was rolled back, and that stops.
func TestLot_CutWhileItIsOffered(t *testing.T) {
	t.Parallel()
	l := newLotTable(t, &http.Server{})
	c := l.parks(t, wire.Conn{})
	offered, answered := make(chan struct{}), make(chan struct{})
	m := l.moves(t, 1, func(wire.OfferMsg, []int) (wire.TakenMsg, error) {
		close(offered)
		<-answered
		return wire.TakenMsg{Refused: []wire.Refusal{{Conn: 0, Reason: "no"}}}, nil
	})
	<-offered
	m.Retire()
	if got := l.CutAll(true, nil); got.Connections != 1 || !l.Empty(true) {
		t.Errorf("cut %+v", got)
	}
	close(answered)
	expectEnd(t, c)
}

// TestLot_AllAtOnce: clients ask, leave and come while their connections move, are refused, dismissed and cut. Each that
// asks is served by one of the two processes, or its connection ends; none is forgotten.
func TestLot_AllAtOnce(t *testing.T) {
	t.Parallel()
	const rounds, clients = 8, 40
	for round := range rounds {
		l, next := newLotTable(t, &http.Server{IdleTimeout: time.Hour}), newLotTable(t, &http.Server{IdleTimeout: time.Hour})
		serve := func(l *lotTable) {
			for {
				select {
				case c := <-l.side.Adopted:
					go func() {
						b := make([]byte, readBuffer)
						if n, err := c.Read(b); err == nil {
							_, _ = c.Write(b[:n])
						}
						_ = c.Close()
					}()
				case <-l.over:
					return
				}
			}
		}
		var servers, all sync.WaitGroup
		servers.Go(func() { serve(l) })
		servers.Go(func() { serve(next) })
		answer := func(msg wire.OfferMsg, files []int) (taken wire.TakenMsg, err error) {
			taken.Room = 1000
			for i, s := range files {
				if rand.IntN(4) == 0 {
					taken.Refused = append(taken.Refused, wire.Refuse(i, "no"))
				} else if begin := next.Park(must.Get(fd.DupOf(s))(t), next.side, msg.Conns[i], nil, nil); begin != nil {
					all.Go(func() { begin(true) })
				}
			}
			return taken, nil
		}
		for i := range clients {
			client, begin := l.arrives(t, wire.Conn{})
			all.Go(func() { begin(true) })
			all.Go(func() {
				if i%5 == 0 {
					_ = client.Close()
					return
				}
				_ = client.SetDeadline(time.Now().Add(patience))
				_, _ = client.Write([]byte("x"))
				if _, err := client.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("round %d: nobody answers", round)
				}
			})
		}
		m := l.moves(t, 0.5, answer)
		all.Go(m.Widen)
		all.Go(func() {
			for _, c := range l.Quiet() {
				c.DismissIdle()
			}
		})
		all.Go(func() { l.tend(); _ = fmt.Sprint(l.Left(), l.Empty(true)) })
		if round%2 == 1 {
			all.Go(func() { l.CutAll(true, nil) })
		}
		all.Wait()
		awaits(t, "the first is empty", func() bool { return l.Empty(true) })
		awaits(t, "the second is empty", func() bool { return next.Empty(true) })
		m.stop()
		close(l.over)
		close(next.over)
		servers.Wait()
	}
}
