package h2

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/h2/misdeed"
	"github.com/gracex-go/gracex/internal/must"
)

// The servers that judge what a client says.
const (
	netHTTPAlone = "net/http"           // nothing is between it and the client
	behindConn   = "behind a Conn"      // of New
	adopting     = "as it moves"        // from such a one: the history is told while the client says it
	adopted      = "after it has moved" // and has been answered
)

// verdict returns what becomes of a connection whose client says this, behind a request with an answer and one that the
// server has reset. Unless it reads it reads nothing before all of that is written, or the server has ended the connection.
func verdict(t testing.TB, by string, says []byte, reads bool) string {
	t.Helper()
	end, nc := net.Pipe()
	defer nc.Close()
	must.Do(t, nc.SetDeadline(time.Now().Add(patience)))
	release := make(chan struct{})
	defer close(release)
	below := &descriptor{Conn: end}
	var first net.Conn = below
	var conn *Conn
	if by != netHTTPAlone {
		conn = New(below, len(Preface), 0, func() {})
		first = conn
	}
	defer judge(first, release)()
	r := &raw{nc, t}
	hello := post(1, "/first")
	hello[4] |= flagEndStream
	r.send([]byte(Preface), settings, hello)
	r.until(func(f *frame) bool { return f.is(typeSettings, 0) })
	r.send(appendFrame(nil, typeSettings, flagAck, 0))
	r.answer(1)
	r.send(post(3, "/first"), appendFrame(nil, typeData, 0, 3, 'b'))
	r.until(func(f *frame) bool { return f.head.kind() == typeReset })
	r.settled()
	if by == adopted || by == adopting {
		to := &leaver{below: below, left: make(chan struct{})}
		conn.Move(to, Pace{Patience: patience})
		select {
		case <-to.left:
		case <-time.After(patience):
			t.Fatal("it does not move")
		}
		st := must.Get(ParseState(to.st.Append(nil)))(t)
		must.Do(t, to.nc.SetDeadline(time.Time{})) // another process has a descriptor without one
		conn = Adopt(&descriptor{Conn: to.nc}, st, NetHTTP, func() {})
		defer judge(conn, release)()
	}
	if by == adopted {
		r.settled()
	}
	written := make(chan struct{})
	go func() {
		_, _ = nc.Write(says) // the server reads no more after an error
		close(written)
	}()
	if !reads {
		<-written
		go func() { _, _ = nc.Write(lastPing) }()
	}
	return r.judged()
}

// leaver takes a connection from a process.
type leaver struct {
	below *descriptor
	nc    net.Conn
	st    *State
	left  chan struct{}
}

func (l *leaver) Wants() bool  { return true }
func (l *leaver) Stays(string) {}
func (l *leaver) Ready() bool  { return true }
func (l *leaver) Offer(st *State) bool {
	l.nc, l.st = l.below.leave(), st
	close(l.left)
	return true
}

// judge serves one connection. A request but for the first lasts until it is released, so that no verdict depends on the
// moment of an answer.
func judge(nc net.Conn, release <-chan struct{}) (stop func()) {
	s := &server{accepts: make(chan net.Conn, 1), done: make(chan struct{})}
	s.Server = &http.Server{
		ErrorLog: log.New(io.Discard, "", 0), Protocols: new(http.Protocols),
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, nc)
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, ok := r.Context().Value(connKey{}).(*Conn)
			switch {
			case ok && conn.Answer(w, r), r.URL.Path == "/first":
				return
			}
			gone := r.Context().Done()
			if r.URL.Path == "/deaf" {
				gone = nil
			}
			select {
			case <-release:
			case <-gone:
			}
		}),
	}
	s.Protocols.SetUnencryptedHTTP2(true)
	s.accepts <- nc
	go func() { _ = s.Serve(s) }()
	return func() {
		close(s.done)
		_ = s.Server.Close()
	}
}

// lastPing is the PING behind what a client says.
var lastPing = appendFrame(nil, typePing, 0, 0, 'w', 'h', 'a', 't', ' ', 'n', 'o', 'w')

// judged reads to the answer to lastPing, or to the end.
func (r *raw) judged() string {
	r.t.Helper()
	for {
		f, err := r.next()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			r.t.Fatal("the server neither answers nor ends the connection")
		case err != nil:
			return "it is closed"
		case f.head.kind() == typeGoAway:
			return fmt.Sprintf("GOAWAY, last stream %d, code %d", binary.BigEndian.Uint32(f.payload), binary.BigEndian.Uint32(f.payload[4:]))
		case f.is(typePing, flagAck) && bytes.Equal(f.payload, lastPing[headSize:]):
			return "it goes on"
		}
	}
}

// whole returns b and the rest of its last frame, if a server reads so large ones.
func whole(b []byte) []byte {
	for at := 0; at < len(b); {
		if more := at + headSize - len(b); more > 0 {
			b = append(b, make([]byte, more)...)
		}
		size := (*head)(b[at:]).size()
		if size > 1<<20 {
			return b
		}
		if at += headSize + size; at > len(b) {
			b = append(b, make([]byte, at-len(b))...)
		}
	}
	return b
}

// FuzzConn_EndsAsNetHTTPs: whatever a client says, its connection goes on, or ends with that error, as on a server of net/http's
// that nothing is in front of. So it does after a move.
func FuzzConn_EndsAsNetHTTPs(f *testing.F) {
	for _, says := range misdeed.All() {
		f.Add(says)
	}
	f.Fuzz(func(t *testing.T, says []byte) {
		if len(says) > 16<<10 {
			return // too many requests would wait for each other
		}
		says = append(whole(bytes.Clone(says)), lastPing...)
		want := verdict(t, netHTTPAlone, says, true)
		for _, by := range []string{behindConn, adopted} {
			got := verdict(t, by, says, true)
			if got == "it is closed" && strings.HasPrefix(want, "GOAWAY") {
				continue // what was said last is lost if something of the client's is left unread
			}
			if got != want && !mayBe(t, got, says) {
				t.Errorf("%s: %s; net/http alone: %s", by, got, want)
			}
		}
	})
}

// mayBe reports whether net/http alone comes to that verdict, too: a late frame can be on a stream that has ended meanwhile,
// or not. Behind a client's GOAWAY an error has its code, or that of GOAWAY: net/http's own waits while it writes.
func mayBe(t *testing.T, want string, says []byte) bool {
	all := [][]byte{says}
	if later := withoutGoAway(says); len(later) < len(says) {
		all = append(all, later)
	}
	for range 5 {
		for _, says := range all {
			if verdict(t, netHTTPAlone, says, true) == want {
				return true
			}
		}
	}
	return false
}

// withoutGoAway is whole frames without the GOAWAYs by which a client leaves.
func withoutGoAway(says []byte) (b []byte) {
	for len(says) >= headSize {
		h := (*head)(says)
		n := min(headSize+h.size(), len(says))
		if h.kind() != typeGoAway || h.stream() != 0 || h.size() < 8 {
			b = append(b, says[:n]...)
		}
		says = says[n:]
	}
	return append(b, says...)
}

// greetsByDefault is what a server without settings of its own says.
var greetsByDefault = sync.OnceValues(func() (*Greeting, error) { return Greet(&http.Server{}) })

// FuzzAdopt: a state that is read, and that a server takes, is one in which the client's next request is answered, or its
// connection ends.
func FuzzAdopt(f *testing.F) {
	full := State{Last: 7, Send: 1, Receive: 2, Table: probeTable}
	full.Client.set(settingFrameSize, 1<<14)
	full.Server.set(settingNoPriorities, 1)
	f.Add(full.Append(nil))
	full.Client.set(settingFrameSize, 1)
	f.Add(full.Append(nil))
	full = State{Last: maxStream - 2, Send: maxWindow, Receive: 0, Table: []byte{0x20}}
	full.Client.set(settingTableSize, 0)
	full.Client.set(settingWindow, 0)
	f.Add(full.Append(nil))
	f.Add((&State{}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := ParseState(b)
		if err != nil {
			return
		}
		if g := must.Get(greetsByDefault())(t); g.Takes(st) != nil || st.Last > maxStream-2 {
			return
		}
		end, nc := net.Pipe()
		defer nc.Close()
		must.Do(t, nc.SetDeadline(time.Now().Add(patience)))
		release := make(chan struct{})
		close(release)
		defer judge(Adopt(end, st, NetHTTP, func() {}), release)()
		stream, answered, ponged := (st.Last+1)|1, false, false
		get := appendFrame(nil, typeHeaders, flagEndHeaders|flagEndStream, stream, methodGet, 0x86, 0x84)
		go func() { _, _ = nc.Write(append(get, lastPing...)) }()
		r := &raw{nc, t}
		for !answered || !ponged {
			f, err := r.next()
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				t.Fatalf("it is neither answered (%v, %v) nor closed", answered, ponged)
			case err != nil, f.head.kind() == typeGoAway:
				return
			case f.head.stream() == stream && (f.answers() || f.head.kind() == typeReset):
				answered = true
			case f.is(typePing, flagAck) && bytes.Equal(f.payload, lastPing[headSize:]):
				ponged = true
			}
		}
	})
}

// TestConn_FloodsEndAsNetHTTPs: a client that sends too much of something is stopped as by net/http alone, and no sooner.
func TestConn_FloodsEndAsNetHTTPs(t *testing.T) {
	t.Parallel()
	times := func(n int, frames func(i uint32) []byte) (all []byte) {
		for i := range uint32(n) {
			all = append(all, frames(5+2*i)...)
		}
		return all
	}
	get := func(id uint32) []byte { return appendBlock(nil, id, post(id, "/deaf")[headSize:]) }
	resetOf := func(id uint32) []byte { return appendFrame(nil, typeReset, 0, id, 0, 0, 0, 8) }
	block := bytes.Repeat([]byte{0x10, 1, 'x', 5, 'a', 'b', 'c', 'd', 'e'}, 1700)
	begun := appendFrame(nil, typeHeaders, flagEndStream, 5, methodGet, 0x86, 0x84)
	for name, tt := range map[string]struct {
		says  []byte
		reads bool
		want  string
	}{
		"rapid resets":             {times(1300, func(id uint32) []byte { return append(get(id), resetOf(id)...) }), true, "code 11"},
		"too many requests":        {times(300, get), true, "it goes on"},
		"CONTINUATION":             {append(begun, times(300, func(uint32) []byte { return appendFrame(nil, typeContinuation, 0, 5, block...) })...), true, "code 1"},
		"nothing in CONTINUATION":  {append(begun, times(5000, func(uint32) []byte { return appendFrame(nil, typeContinuation, 0, 5) })...), true, "code 1"},
		"PINGs, answers unread":    {times(10500, func(uint32) []byte { return lastPing }), false, "it is closed"},
		"resets, answers unread":   {times(10500, func(uint32) []byte { return body(3, 0) }), false, "it is closed"},
		"SETTINGS, answers unread": {times(10500, func(uint32) []byte { return settings }), false, "it goes on"},
		"windows":                  {times(1<<12, func(uint32) []byte { return appendFrame(nil, typeWindowUpdate, 0, 0, 0, 7, 0xff, 0xff) }), true, "code 3"},
		"empty DATA":               {append(post(5, "/"), times(5000, func(uint32) []byte { return appendFrame(nil, typeData, 0, 5) })...), true, "it goes on"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.reads {
				tt.says = append(tt.says, lastPing...)
			}
			for _, by := range []string{netHTTPAlone, behindConn, adopting, adopted} {
				if got := verdict(t, by, tt.says, tt.reads); !strings.HasSuffix(got, tt.want) {
					t.Errorf("%s: %s, want %s", by, got, tt.want)
				}
			}
		})
	}
}
