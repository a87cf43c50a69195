package h2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// end is one of a connection's two ends, with the frames that come out of it.
type end struct {
	t      *testing.T
	w      io.Writer
	frames chan frame
	err    chan error // why no more comes
}

// ends returns both: what the server reads and writes, and what the client does.
func ends(t *testing.T, c *Conn, client net.Conn, preface int) (ofServer, ofClient *end) {
	read := func(w io.Writer, r io.Reader, skip int) *end {
		e := &end{t, w, make(chan frame, 1000), make(chan error, 1)}
		go func() {
			_, err := io.ReadFull(r, make([]byte, skip))
			for err == nil {
				var f frame
				if _, err = io.ReadFull(r, f.head[:]); err == nil {
					f.payload = make([]byte, f.head.size())
					_, err = io.ReadFull(r, f.payload)
				}
				if err == nil {
					e.frames <- f
				}
			}
			e.err <- err
			close(e.frames)
		}()
		return e
	}
	return read(c, c, preface), read(client, client, 0)
}

func (e *end) send(frames ...[]byte) {
	e.t.Helper()
	must.Get(e.w.Write(bytes.Join(frames, nil)))(e.t)
}

// gets waits for a frame, and checks what it says.
func (e *end) gets(want []byte) {
	e.t.Helper()
	select {
	case f := <-e.frames:
		if got := slices.Concat(f.head[:], f.payload); !bytes.Equal(got, want) {
			e.t.Fatalf("a frame is % x, want % x", got, want)
		}
	case <-time.After(patience):
		e.t.Fatalf("no frame, want % x", want)
	}
}

// getsNothing checks that nothing has come before what the other end sends now.
func (e *end) getsNothing(other *end) {
	e.t.Helper()
	other.send(settings)
	e.gets(settings)
}

func settingsOfTwo(id, v, id2, v2 int) []byte {
	return appendFrame(nil, typeSettings, 0, 0, appendSetting(appendSetting(nil, id, uint32(v)), id2, uint32(v2))...)
}

func settingsOfOne(id, v int) []byte {
	return appendFrame(nil, typeSettings, 0, 0, appendSetting(nil, id, uint32(v))...)
}

var (
	settingsAck = appendFrame(nil, typeSettings, flagAck, 0)
	question    = appendFrame(nil, typePing, 0, 0, marker[:]...)
	answered    = appendFrame(nil, typePing, flagAck, 0, marker[:]...)
)

// adoptedGRPC has a server told what it has to know, as grpc-go's is.
func adoptedGRPC(t *testing.T, st *State) (server, client *end) {
	t.Helper()
	s, nc := net.Pipe()
	c := Adopt(s, st, GRPC, func() {})
	t.Cleanup(func() { _ = c.Close(); _ = nc.Close() })
	server, client = ends(t, c, nc, len(Preface))
	server.send(settings)
	server.gets(settingsOfOne(settingTableSize, initialTableSize-1))
	if st.Last > 0 {
		server.gets(appendFrame(nil, typeHeaders, flagEndStream|flagEndHeaders, st.Last, append(bytes.Clone(st.Table), noRequest...)...))
		server.send(appendFrame(nil, typeReset, 0, st.Last, 0, 0, 0, 1))
	}
	sum := uint32(initialWindow)
	for f := range server.frames {
		if f.head.kind() != typeWindowUpdate {
			if f.head.kind() != typeSettings || !f.head.has(flagAck) {
				t.Fatalf("a frame of type %d, want an acknowledgment", f.head.kind())
			}
			break
		}
		n := binary.BigEndian.Uint32(f.payload)
		if n == 0 || n > maxWindow || f.head.stream() != 0 {
			t.Errorf("a window update of %d on stream %d", n, f.head.stream())
		}
		sum += n
	}
	if sum != st.Send {
		t.Errorf("the server's window is %d, want %d", sum, st.Send)
	}
	server.gets(question)
	server.send(settingsAck, answered)
	client.getsNothing(server)
	client.send(settingsAck)
	server.gets(settingsAck)
	return server, client
}

// TestAdoptGRPC: the server has the client's header table and the very window, whatever that is, and the client hears
// nothing of it.
func TestAdoptGRPC(t *testing.T) {
	t.Parallel()
	for _, st := range []*State{
		{Send: initialWindow, Receive: initialWindow},
		{Last: 7, Send: initialWindow, Receive: initialWindow, Table: probeTable},
		{Last: 7, Send: 0, Receive: initialWindow, Table: probeTable},
		{Last: 9, Send: initialWindow - 1, Receive: initialWindow, Table: probeTable},
		{Last: 9, Send: initialWindow + 1, Receive: initialWindow, Table: probeTable},
		{Last: 9, Send: maxWindow, Receive: initialWindow, Table: probeTable},
	} {
		adoptedGRPC(t, st)
	}
}

// TestAdoptGRPC_Surplus: what the client may send beyond what the server knows is taken from what that gives back, so that
// it does not add up from one process to the next.
func TestAdoptGRPC_Surplus(t *testing.T) {
	t.Parallel()
	server, client := adoptedGRPC(t, &State{Last: 1, Send: initialWindow, Receive: initialWindow + 100, Table: probeTable})
	server.send(appendWindow(nil, 0, 60))
	client.getsNothing(server)
	all := bytes.Join([][]byte{appendWindow(nil, 0, 70), data, appendWindow(nil, 0, 80)}, nil)
	for _, b := range all { // in pieces
		server.send([]byte{b})
	}
	client.gets(appendWindow(nil, 0, 30))
	client.gets(data)
	client.gets(appendWindow(nil, 0, 80))
}

// TestAdoptGRPC_LateHeaders: trailers on a stream that the client has opened before the move are no new stream.
func TestAdoptGRPC_LateHeaders(t *testing.T) {
	t.Parallel()
	server, client := adoptedGRPC(t, &State{Last: 7, Send: initialWindow, Receive: initialWindow, Table: probeTable})
	open := appendFrame(nil, typeHeaders, flagEndHeaders, 9, 0x82)
	client.send(open)
	server.gets(open)
	client.send(appendFrame(nil, typeHeaders, flagEndHeaders|flagEndStream, 7))
	for f := range server.frames {
		t.Errorf("the server reads a frame of type %d", f.head.kind())
		client.send(open[:1]) // else it waits for the next one
		client.w.(net.Conn).Close()
	}
	if err := <-server.err; !errors.Is(err, errLate) {
		t.Errorf("the server reads: %v", err)
	}
}

// TestAdoptGRPC_Answered: a server that takes what is no request for one is not left with the connection.
func TestAdoptGRPC_Answered(t *testing.T) {
	t.Parallel()
	s, nc := net.Pipe()
	c := Adopt(s, &State{Last: 7, Send: initialWindow, Receive: initialWindow, Table: probeTable}, GRPC, func() {})
	t.Cleanup(func() { _ = c.Close(); _ = nc.Close() })
	server, client := ends(t, c, nc, len(Preface))
	go server.send(settings, appendFrame(nil, typeHeaders, flagEndStream|flagEndHeaders, 7, 0x88))
	client.gets(goAway(7, 0))
	if err := <-server.err; !errors.Is(err, io.EOF) {
		t.Errorf("the server reads: %v", err)
	}
}

const raisedWindow = 200_000

// raisedConn is a connection of grpc-go's server, which has made the window of streams larger than it has said first. It
// is to move.
func raisedConn(t *testing.T, taker Taker, pace Pace) (server, client *end, c *Conn) {
	t.Helper()
	c, nc := pipe(t)
	c.ServedBy(GRPC)
	must.Do(t, nc.SetDeadline(time.Time{}))
	server, client = ends(t, c, nc, 0)
	client.send(settings)
	server.gets(settings)
	first, then := settingsOfOne(settingFrameSize, frameSize), settingsOfOne(settingWindow, raisedWindow)
	server.send(first, settingsAck, then)
	for _, want := range [][]byte{first, settingsAck, then} {
		client.gets(want)
	}
	client.send(settingsAck, settingsAck)
	server.gets(settingsAck)
	server.gets(settingsAck)
	c.Move(taker, pace)
	return server, client, c
}

// opening opens a stream.
func opening(stream uint32) []byte {
	return appendFrame(nil, typeHeaders, flagEndHeaders, stream, 0x82)
}

// resetting ends it.
func resetting(stream uint32) []byte { return appendFrame(nil, typeReset, 0, stream, 0, 0, 0, 8) }

var closedWindows = settingsOfOne(settingWindow, 0)

// TestMove_ClosesRaisedWindow before the move: the server of the next process begins with the first one.
func TestMove_ClosesRaisedWindow(t *testing.T) {
	t.Parallel()
	taken := &probeTaker{offered: make(chan *State, 1)}
	_, client, c := raisedConn(t, taken, Pace{Withhold: patience, WithholdFor: time.Millisecond, Patience: patience})
	client.gets(closedWindows)
	for c.moving.Load().withholds.Load() { // the client is far away: nothing is withheld any more
		time.Sleep(time.Millisecond)
	}
	select {
	case <-taken.offered:
		t.Fatal("it moves before the client has acknowledged the window")
	default:
	}
	client.send(settingsAck)
	if w := (<-taken.offered).Server.get(settingWindow); w != 0 {
		t.Errorf("the client knows a window of %d", w)
	}
}

// TestMove_RaisedWindowAndStreams: those that the client opens before it knows that the window is closed are served here,
// and later ones go along.
func TestMove_RaisedWindowAndStreams(t *testing.T) {
	t.Parallel()
	taken := &probeTaker{offered: make(chan *State, 1)}
	server, client, _ := raisedConn(t, taken, Pace{Withhold: patience, WithholdFor: patience, Patience: patience})
	client.gets(closedWindows)
	client.send(opening(1))
	server.gets(opening(1))
	client.gets(appendWindow(nil, 1, raisedWindow))
	client.send(settingsAck, opening(3), resetting(1))
	server.gets(resetting(1))
	st := <-taken.offered
	if st.Last != 1 || !bytes.Equal(st.Held, opening(3)) {
		t.Errorf("the last stream is %d, and % x goes along", st.Last, st.Held)
	}
}

// TestMove_RaisedWhileClosed: what the server makes larger while windows are closed, each open stream gets once, and the
// next ones have none.
func TestMove_RaisedWhileClosed(t *testing.T) {
	t.Parallel()
	taken := &probeTaker{offered: make(chan *State, 1)}
	server, client, _ := raisedConn(t, taken, Pace{Withhold: patience, WithholdFor: patience, Patience: patience})
	client.gets(closedWindows)
	client.send(opening(1))
	server.gets(opening(1))
	client.gets(appendWindow(nil, 1, raisedWindow))
	server.send(settingsOfTwo(settingFrameSize, frameSize, settingWindow, raisedWindow+1000))
	client.gets(appendWindow(nil, 1, 1000))
	client.gets(settingsOfTwo(settingFrameSize, frameSize, settingWindow, 0))
	client.send(opening(3))
	server.gets(opening(3))
	client.gets(appendWindow(nil, 3, raisedWindow+1000))
	client.send(settingsAck, settingsAck)
	server.gets(settingsAck) // the one of its own
	client.send(resetting(1), resetting(3))
	server.gets(resetting(1))
	server.gets(resetting(3))
	if st := <-taken.offered; st.Server.get(settingWindow) != 0 {
		t.Errorf("the client knows a window of %d", st.Server.get(settingWindow))
	}
}

// TestMove_ReopensRaisedWindow when it does not move: the window is the one that its server knows.
func TestMove_ReopensRaisedWindow(t *testing.T) {
	t.Parallel()
	server, client, c := raisedConn(t, refusing{}, Pace{Withhold: patience, WithholdFor: patience, Patience: patience})
	client.gets(closedWindows)
	server.send(settingsOfOne(settingWindow, raisedWindow+1000))
	client.gets(closedWindows)
	client.send(settingsAck, settingsAck)
	server.gets(settingsAck)
	for c.moving.Load() != nil {
		time.Sleep(time.Millisecond)
	}
	server.send(data)
	client.gets(data)
	client.gets(settingsOfOne(settingWindow, raisedWindow+1000))
	server.send(settingsOfOne(settingWindow, raisedWindow+2000)) // as it is
	client.gets(settingsOfOne(settingWindow, raisedWindow+2000))
}

// TestMove_WindowNeverAcknowledged: it stays, and each stream has the window that its server knows.
func TestMove_WindowNeverAcknowledged(t *testing.T) {
	t.Parallel()
	stays := make(chan string, 1)
	server, client, _ := raisedConn(t, staying{stays}, Pace{Withhold: time.Second, WithholdFor: time.Millisecond, Patience: 100 * time.Millisecond})
	client.gets(closedWindows)
	if why := <-stays; why != stuckOwes {
		t.Errorf("it stays because %s", why)
	}
	client.send(opening(1))
	server.gets(opening(1))
	client.gets(appendWindow(nil, 1, raisedWindow))
}

// staying is a Taker that is to hear why a connection stays.
type staying struct{ why chan string }

func (s staying) Wants() bool       { return true }
func (s staying) Ready() bool       { return true }
func (s staying) Offer(*State) bool { return false }
func (s staying) Stays(why string)  { s.why <- why }

// refusing is a Taker that does not take it.
type refusing struct{}

func (refusing) Wants() bool       { return true }
func (refusing) Ready() bool       { return true }
func (refusing) Offer(*State) bool { return false }
func (refusing) Stays(string)      {}

// TestBatch: however what the client sends is cut, and however much the server has room for, that gets all but the
// answers to what it has not said, and the books are those of a server that gets a frame at a time.
func TestBatch(t *testing.T) {
	t.Parallel()
	block := []byte{methodPost, 0x86, insertion, 3, 'x', '-', 'a', 3, 'o', 'n', 'e'}
	const ours = 2 // of the acknowledgments
	frames := [][]byte{
		settingsOfOne(settingWindow, 100_000), settingsAck, appendFrame(nil, typePing, 0, 0, marker[:]...),
		appendFrame(nil, typeHeaders, 0, 1, block...), appendFrame(nil, typeContinuation, flagEndHeaders, 1, block[2:]...),
		settingsAck, data, appendWindow(nil, 0, 1000), appendFrame(nil, typeReset, 0, 1, 0, 0, 0, 8), settingsAck,
		appendFrame(nil, typeHeaders, flagEndHeaders|flagEndStream, 3, block...), appendFrame(nil, typeData, flagEndStream, 3),
	}
	var want []byte
	acks := 0
	for _, f := range frames {
		if bytes.Equal(f, settingsAck) {
			if acks++; acks == ours {
				continue
			}
		}
		want = append(want, f...)
	}
	all := bytes.Join(frames, nil)
	books := func(of Transport, piece, room int) string {
		c, nc := pipe(t)
		c.ServedBy(of)
		c.books.unacked = []settingsOf{ofServer, ofOurs, ofServer}
		go func() {
			for from := 0; from < len(all); from += piece {
				_, _ = nc.Write(all[from:min(from+piece, len(all))])
			}
			_ = nc.Close()
		}()
		var got []byte
		for b := make([]byte, room); ; {
			n, err := c.Read(b)
			if got = append(got, b[:n]...); err != nil {
				break
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("transport %d, pieces of %d, room for %d: the server gets\n% x, not\n% x", of, piece, room, got, want)
		}
		k := &c.books
		return fmt.Sprint(k.state(), k.open, k.said, k.pings, k.unacked)
	}
	same := books(NetHTTP, len(all), 1000)
	for piece := 1; piece < 60; piece++ {
		for _, room := range []int{1, 8, 9, 10, 30, 1000} {
			if got := books(GRPC, piece, room); got != same {
				t.Fatalf("pieces of %d, room for %d: the books are\n%s, not\n%s", piece, room, got, same)
			}
		}
	}
}

// TestServedBy_OtherProtocol: what a server says over TLS passes as it is, and nothing is kept of it, whatever it looks like.
func TestServedBy_OtherProtocol(t *testing.T) {
	t.Parallel()
	c, nc := pipe(t)
	c.preface = len(Preface)
	c.ServedBy(GRPC)
	hello := []byte("\x16\x03\x01 a hello of TLS's")
	go func() { _, _ = nc.Write(hello) }()
	must.Get(io.ReadFull(c, make([]byte, len(hello))))(t)
	said := append([]byte{0xff, 0xff, 0xff, typeSettings, 0, 0, 0, 0, 0}, make([]byte, 1000)...)
	got := make([]byte, len(said))
	read := make(chan error, 1)
	go func() { _, err := io.ReadFull(nc, got); read <- err }()
	must.Get(c.Write(said))(t)
	must.Do(t, <-read)
	if !bytes.Equal(got, said) {
		t.Error("the client gets something else")
	}
	if n := cap(c.writes.payload); n > 0 {
		t.Errorf("%d bytes of it are kept", n)
	}
}

// TestMove_AsksNothing: grpc-go's server acknowledges each SETTINGS, and counts PINGs without a stream as a client's misdeeds.
func TestMove_AsksNothing(t *testing.T) {
	t.Parallel()
	c, nc := pipe(t)
	c.ServedBy(GRPC)
	server, client := ends(t, c, nc, 0)
	client.send(settings)
	server.gets(settings)
	server.send(settings, settingsAck)
	client.gets(settings)
	client.gets(settingsAck)
	taken := &probeTaker{offered: make(chan *State, 1)}
	c.Move(taken, Pace{Patience: patience})
	again, more := settingsOfOne(settingWindow, 100), appendWindow(nil, 0, 1)
	client.send(again, settingsAck, more) // behind the acknowledgment it waits for the server's alone
	server.gets(again)
	server.gets(settingsAck)
	server.gets(more)
	server.send(settingsAck)
	client.gets(settingsAck)
	if w := (<-taken.offered).Client.get(settingWindow); w != 100 {
		t.Errorf("the client's window is %d", w)
	}
}

// counted counts what is written to a connection.
type counted struct {
	net.Conn
	writes int
}

func (c *counted) Write(b []byte) (int, error) {
	c.writes++
	return len(b), nil
}

// TestLeveler_WritesTogether what the server has written together.
func TestLeveler_WritesTogether(t *testing.T) {
	t.Parallel()
	c, _ := pipe(t)
	out := &counted{Conn: c.Conn}
	c.Conn = out
	c.ServedBy(GRPC)
	c.writes.filter = &leveler{c, 1 << 20}
	must.Get(c.Write(bytes.Join([][]byte{opening(1), data, appendWindow(nil, 0, 1000), data, data, data[:5]}, nil)))(t)
	if out.writes > 2 { // before and behind what is taken out
		t.Errorf("%d writes", out.writes)
	}
}

// TestSettled_BehindAcknowledgments: what is written together with the answer counts as if it had been written before.
func TestSettled_BehindAcknowledgments(t *testing.T) {
	t.Parallel()
	c, _ := pipe(t)
	c.Conn = &counted{Conn: c.Conn}
	k := &c.books
	k.greeted, k.said = true, 3
	c.writes.filter = &settled{c: c, said: 3}
	must.Get(c.Write(bytes.Join([][]byte{settingsAck, settingsAck, answered}, nil)))(t)
	if rests, ask := k.rests(); !rests || ask {
		t.Errorf("it rests %t, and is to be asked %t: %d of %d are acknowledged", rests, ask, k.acked, k.said)
	}
}
