package core

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/wire"
)

// frames are the bytes of all kinds of frames, for a corpus.
func frames(f *testing.F) (all [][]byte) {
	for ty := wire.Type(0); ty < 30; ty++ {
		for _, msg := range []any{
			nil, wire.ReasonMsg{Reason: "why"}, wire.CommitMsg{ProbationMillis: 1, DrainMillis: 2, Again: true},
			wire.EldersMsg{Elders: 3}, wire.TakenMsg{Room: 4, Refused: []wire.Refusal{{Conn: 1}}},
			wire.OfferMsg{Conns: []wire.Conn{{Name: "x"}, {Listener: &wire.Listener{Network: "tcp", Address: ":0"}}}},
		} {
			b, err := wire.Append(nil, ty, msg)
			if err != nil {
				f.Fatal(err)
			}
			all = append(all, b)
		}
	}
	return append(all, bytes.Join(all, nil))
}

// FuzzTalk: whatever a new process says, the old one gets to the end of it.
func FuzzTalk(f *testing.F) {
	for _, b := range frames(f) {
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, asked bool) {
		k := newTalk()
		k.asked.Store(asked)
		go k.listen(bytes.NewReader(b))
		for {
			select {
			case w := <-k.words:
				if !w.Type.Known() || w.Type == wire.Taken {
					t.Fatalf("the lifecycle gets a %v frame", w.Type)
				}
				continue
			case <-k.silent:
			}
			break
		}
		if k.why == nil || len(k.taken) > 0 && !asked {
			t.Fatalf("%v, with %d answers", k.why, len(k.taken))
		}
	})
}

// FuzzHear: whatever the old process says, the new one gets to the end of it.
func FuzzHear(f *testing.F) {
	for _, b := range frames(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		u := &Upgrader{
			log:   slog.New(slog.DiscardHandler),
			conns: newConnTable(nil), inherited: &inheritance{}, phase: newPhase(),
		}
		close(u.phase.done) // there is no lifecycle
		p := newParent(nobody{bytes.NewReader(b)})
		for {
			fr, err := wire.Read(p.ctl)
			if err == nil && fr.Type == wire.Offer {
				err = u.receive(p, fr, nil)
			} else if err == nil {
				err = u.hear(p, fr)
			}
			if err != nil {
				break
			}
		}
		if p.adopted != 0 || p.elders.Load() < 0 {
			t.Fatalf("%d adopted without a descriptor, %d elders", p.adopted, p.elders.Load())
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

// FuzzArguments: the flag is put in front and taken from there, and whatever else a
// command line has stays as it is.
// FuzzLink: any value of the link's variable is refused, or says the same again.
func FuzzLink(f *testing.F) {
	for _, v := range []string{"", "1:3:4711", "1:70000:1", "1:3:-1", "1:3:1:2", "::", "1:03:+1"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		l, err := wire.ParseLink(v)
		if err != nil {
			if l != (wire.LinkInfo{}) || !strings.Contains(err.Error(), wire.EnvLink) {
				t.Errorf("%+v %v", l, err)
			}
			return
		}
		if again, err := wire.ParseLink(l.String()); again != l || err != nil {
			t.Errorf("%+v became %+v, %v", l, again, err)
		}
	})
}

func FuzzArguments(f *testing.F) {
	for _, s := range []string{"", "app", "app\x00-graceful", "app\x00--graceful\x00-graceful", "app\x00x\x00-graceful", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		args := strings.Split(s, "\x00")
		cut, graceful := cutGraceful(slices.Clone(args))
		if graceful != (len(args) > 1 && (args[1] == "-graceful" || args[1] == "--graceful")) {
			t.Fatalf("%q: graceful %v", args, graceful)
		}
		if want := len(args); graceful && len(cut) != want-1 || !graceful && !slices.Equal(cut, args) {
			t.Fatalf("%q became %q", args, cut)
		}
		back, graceful := cutGraceful(launch{argv: args}.args())
		if !graceful || !slices.Equal(back, args) {
			t.Fatalf("%q came back as %q, %v", args, back, graceful)
		}
	})
}

// FuzzLastLines: what a program writes is kept by the line, however it comes in pieces.
func FuzzLastLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"), 2)
	f.Add(bytes.Repeat([]byte("x"), 1000), 399)
	f.Add(bytes.Repeat([]byte("line\n"), 30), 7)
	f.Fuzz(func(t *testing.T, b []byte, at int) {
		var whole, pieces lastLines
		_, _ = whole.Write(b)
		at = min(max(at, 0), len(b))
		_, _ = pieces.Write(b[:at])
		_, _ = pieces.Write(b[at:])
		lines := whole.get()
		if !slices.Equal(lines, pieces.get()) {
			t.Fatalf("%q at once and %q in pieces", lines, pieces.get())
		}
		if len(lines) > keepLines+2 {
			t.Fatalf("%d lines", len(lines))
		}
		for _, l := range lines {
			if strings.ContainsAny(l, "\n\x00\x1b") {
				t.Fatalf("%q", l)
			}
		}
	})
}
