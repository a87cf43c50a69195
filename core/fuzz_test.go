package core

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// corpus is the bytes of all kinds of frames.
func corpus(f *testing.F) (all [][]byte) {
	for ty := wire.Type(0); ty < 30; ty++ {
		for _, msg := range []any{
			nil, wire.ReasonMsg{Reason: "why"}, wire.CommitMsg{ProbationMillis: 1, DrainMillis: 2, Again: true},
			wire.OlderMsg{Older: 3}, wire.TakenMsg{Room: 4, Refused: []wire.Refusal{{Conn: 1}}},
			wire.OfferMsg{Conns: []wire.Conn{{Name: "x"}, {Listener: &wire.Listener{Network: "tcp", Address: ":0"}}}},
		} {
			b, err := wire.Append(nil, ty, msg)
			must(f, err)
			all = append(all, b)
		}
	}
	return append(all, bytes.Join(all, nil))
}

// FuzzHear: whatever the old process says, the new one gets to the end of it.
func FuzzHear(f *testing.F) {
	for _, b := range corpus(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		u := &Upgrader{
			log:   slog.New(slog.DiscardHandler),
			conns: conns.NewTable(nil), inherited: &inheritance{}, phase: newPhase(),
		}
		close(u.phase.done) // there is no lifecycle
		said := nobody{bytes.NewReader(b)}
		p := peer.NewOld(said)
		for {
			fr, err := wire.Read(said)
			if err == nil && fr.Type == wire.Offer {
				err = u.receive(p, fr, nil)
			} else if err == nil {
				err = p.Hear(fr, u.oldHandler(p))
			}
			if err != nil {
				break
			}
		}
		if p.Adopted != 0 || len(p.OlderGenerations()) > 1<<12 {
			t.Fatalf("%d adopted without a descriptor, %d older generations", p.Adopted, p.OlderGenerations())
		}
	})
}

// nobody is a peer that says something and takes everything.
type nobody struct{ io.Reader }

func (nobody) Write(b []byte) (int, error)      { return len(b), nil }
func (nobody) Close() error                     { return nil }
func (nobody) LocalAddr() net.Addr              { return nil }
func (nobody) RemoteAddr() net.Addr             { return nil }
func (nobody) SetDeadline(time.Time) error      { return nil }
func (nobody) SetReadDeadline(time.Time) error  { return nil }
func (nobody) SetWriteDeadline(time.Time) error { return nil }
