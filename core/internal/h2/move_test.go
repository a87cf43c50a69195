package h2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/h2/misdeed"
	"github.com/gracex-go/gracex/internal/must"
)

// raw is a client that does nothing by itself.
type raw struct {
	net.Conn
	t testing.TB
}

func (c *chain) dial(t testing.TB, addr string) *raw {
	t.Helper()
	r := &raw{must.Get(net.Dial("tcp", addr))(t), t}
	t.Cleanup(func() { _ = r.Close() })
	must.Do(t, r.SetDeadline(time.Now().Add(patience)))
	r.send([]byte(Preface), settings)
	r.until(func(f *frame) bool { return f.is(typeSettings, 0) })
	r.send(appendFrame(nil, typeSettings, flagAck, 0))
	r.settled()
	return r
}

func (r *raw) send(frames ...[]byte) {
	r.t.Helper()
	must.Get(r.Write(bytes.Join(frames, nil)))(r.t)
}

func (r *raw) next() (f frame, err error) {
	if _, err = io.ReadFull(r, f.head[:]); err != nil {
		return f, err
	}
	f.payload = make([]byte, f.head.size())
	_, err = io.ReadFull(r, f.payload)
	return f, err
}

// until reads frames up to the first one that fits, and returns them all. It ends at the end of the connection, too.
func (r *raw) until(fits func(*frame) bool) (all []frame) {
	for {
		f, err := r.next()
		if err != nil {
			return all
		}
		if all = append(all, f); fits(&f) {
			return all
		}
	}
}

func (f *frame) is(kind, flag byte) bool {
	return f.head.kind() == kind && (flag == 0) == (f.head[4]&1 == 0)
}

// settled waits until the server has answered all frames but requests.
func (r *raw) settled() []frame {
	r.send(appendFrame(nil, typePing, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8))
	return r.until(func(f *frame) bool { return f.is(typePing, flagAck) })
}

func (r *raw) answer(stream uint32) []frame {
	return r.until(func(f *frame) bool {
		return f.head.stream() == stream && (f.answers() || f.head.kind() == typeReset) || f.head.kind() == typeGoAway
	})
}

func post(stream uint32, path string) []byte {
	block := append([]byte{methodPost, 0x86, 0x04}, encode(path, true)...)
	return appendFrame(nil, typeHeaders, flagEndHeaders, stream, append(block, 0x41, 1, 'h')...)
}

func body(stream uint32, n int) []byte {
	return appendFrame(nil, typeData, flagEndStream, stream, bytes.Repeat([]byte("b"), n)...)
}

// say is what frames say, without what the server's own table has to do with.
func say(all []frame) string {
	var words []string
	for _, f := range all {
		w := fmt.Sprintf("%d flags %x stream %d", f.head.kind(), f.head[4], f.head.stream())
		if k := f.head.kind(); k == typeGoAway || k == typeReset || k == typeWindowUpdate || k == typeSettings {
			w += fmt.Sprintf(" % x", f.payload)
		}
		words = append(words, w)
	}
	return strings.Join(words, "\n")
}

// TestMove_IsNotOnTheWire: with servers that say the same the client gets no byte.
func TestMove_IsNotOnTheWire(t *testing.T) {
	t.Parallel()
	c, addr := newChain(t, echo, nil)
	fresh, used := c.dial(t, addr), c.dial(t, addr)
	used.send(post(1, "/"), body(1, 10))
	used.answer(1)
	for range 3 {
		c.upgrade()
	}
	c.expectMoved(6)
	if got := say(fresh.settled()); got != "6 flags 1 stream 0" {
		t.Errorf("a connection without a request: %s", got)
	}
	used.send(post(3, "/"), body(3, 10))
	got := used.answer(3)
	// The old server had not given back the window of the first request.
	if say(got[:1]) != "8 flags 0 stream 0 00 00 00 0a" || !bytes.HasPrefix(got[1].payload, []byte{0x20, 0x3f, 0xe1, 0x1f}) {
		t.Errorf("after a request:\n%s", say(got))
	}
}

// TestMove_BadInputEndsAsNetHTTPEndsIt: what a client does wrong, or late, has the effect that it has on a
// connection which has not moved.
func TestMove_BadInputEndsAsNetHTTPEndsIt(t *testing.T) {
	t.Parallel()
	stays, addr := newChain(t, echo, nil)
	moves, addrOfMoves := newChain(t, echo, nil)
	begin := func(c *chain, addr string) *raw {
		r := c.dial(t, addr)
		r.send(post(1, "/"), body(1, 10))
		r.answer(1)
		r.send(post(3, "/deaf"), appendFrame(nil, typeData, 0, 3, 'b'))
		r.until(func(f *frame) bool { return f.head.kind() == typeReset })
		r.settled()
		return r
	}
	goOn := func(r *raw, name string, sends []byte) string {
		r.send(sends)
		if name == "a half frame" {
			must.Do(t, r.Conn.(*net.TCPConn).CloseWrite())
		} else {
			r.send(appendFrame(nil, typePing, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8))
		}
		got := r.until(func(f *frame) bool { return f.is(typePing, flagAck) || f.head.kind() == typeGoAway })
		return say(slices.DeleteFunc(got, func(f frame) bool {
			answers := f.head.kind() == typeHeaders || f.head.kind() == typeData // before the answer to PING, or after it
			return answers || f.is(typeWindowUpdate, 0) && f.head.stream() == 0
		}))
	}
	all := map[string]*raw{}
	for name := range misdeed.All() {
		switch name {
		case "many SETTINGS", "a stream's window overflows", "SETTINGS: a table of 0", "SETTINGS: a table of 64 KiB", "a table of 0",
			"an empty CONTINUATION":
			continue // what a server says for these has no order
		}
		all[name] = begin(moves, addrOfMoves)
	}
	moves.upgrade()
	moves.expectMoved(int64(len(all)))
	for name, r := range all {
		sends := misdeed.All()[name]
		if want, got := goOn(begin(stays, addr), name, sends), goOn(r, name, sends); got != want {
			t.Errorf("%s: after a move:\n%s\nwithout:\n%s", name, got, want)
		}
	}
	for _, c := range []*chain{stays, moves} {
		c.mu.Lock()
		c.errors.Reset()
		c.mu.Unlock()
	}
}

// TestMove_OtherSettings are said to the client, which acknowledges them to the server.
func TestMove_OtherSettings(t *testing.T) {
	t.Parallel()
	c, addr := newChain(t, echo, func(n int, srv *http.Server) {
		srv.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 100 * (n + 1), MaxReceiveBufferPerConnection: 1<<20 + n<<16}
	})
	r := c.dial(t, addr)
	r.send(post(1, "/"), body(1, 10))
	r.answer(1)
	for n := range 3 {
		c.upgrade()
		all := r.until(func(f *frame) bool { return f.is(typeWindowUpdate, 0) })
		if want := fmt.Sprintf("4 flags 0 stream 0 00 03 % x", binary.BigEndian.AppendUint32(nil, uint32(100*(n+2)))); say(all[:1]) != want {
			t.Errorf("%s, want %s", say(all), want)
		}
		r.send(appendFrame(nil, typeSettings, flagAck, 0))
		stream := uint32(3 + 2*n)
		r.send(post(stream, "/"), body(stream, 10))
		r.answer(stream)
	}
	c.expectMoved(3)
}

// TestMove_TableOf64KiB: a server that permits such a table gets it, unless it is too large to go along.
func TestMove_TableOf64KiB(t *testing.T) {
	t.Parallel()
	const each = 1000
	for n, stays := range map[int]bool{25: false, 60: true} {
		c, addr := newChain(t, echo, func(_ int, srv *http.Server) {
			srv.HTTP2 = &http.HTTP2Config{MaxDecoderHeaderTableSize: 1 << 16}
		})
		r := c.dial(t, addr)
		block := append(appendInteger(nil, sizeUpdate, 5, 1<<16), methodGet, 0x86, 0x84)
		for i := range n {
			block = append(append(block, insertion), encode("x-there", false)...)
			block = append(block, encode(fmt.Sprint(i, strings.Repeat("v", each)), false)...)
		}
		r.send(appendBlock(nil, 1, block))
		r.answer(1)
		r.settled()
		c.upgrade()
		if moved := c.moved.Load() == 1; moved == stays || stays && c.stayed[stuckState] != 1 {
			t.Errorf("%d KiB: moves %v, stayed: %v", n, moved, c.stayed)
		}
		r.send(appendBlock(nil, 3, appendInteger([]byte{methodGet, 0x86, 0x84}, 0x80, 7, uint32(staticEntries+n))))
		if got := r.answer(3); !stays && size(got) < each/2 { // the server's own table does not move
			t.Errorf("%d KiB: the oldest entry is lost: %s", n, say(got))
		}
	}
}

// size is how much of HEADERS there is.
func size(all []frame) (n int) {
	for _, f := range all {
		if f.head.kind() == typeHeaders {
			n += len(f.payload)
		}
	}
	return n
}

func TestGreeting_Takes(t *testing.T) {
	t.Parallel()
	g := Greeting{Window: 1 << 20}
	for id, v := range map[int]uint32{settingTableSize: 4096, settingStreams: 250, settingWindow: 1 << 20, settingFrameSize: 1 << 20, settingHeaderListSize: 5000} {
		g.Settings.set(id, v)
	}
	good := State{Last: 1, Receive: 1 << 20, Server: g.Settings, Table: probeTable}
	must.Do(t, g.Takes(&good))
	for name, change := range map[string]func(*State){
		"table":   func(st *State) { st.Server.set(settingTableSize, 4097) },
		"streams": func(st *State) { st.Server.set(settingStreams, 251) },
		"window":  func(st *State) { st.Server.set(settingWindow, 1<<20+1) },
		"frame":   func(st *State) { st.Server.set(settingFrameSize, 1<<20+1) },
		"list":    func(st *State) { st.Server.set(settingHeaderListSize, 5001) },
		"connect": func(st *State) { st.Server.set(settingConnect, 1) },
		"credit":  func(st *State) { st.Receive++ },
		"larger":  func(st *State) { st.Table = []byte{0x3f, 0xe2, 0x1f} },
		"block":   func(st *State) { st.Table = []byte{0x40} },
		"long": func(st *State) {
			st.Server.set(settingHeaderListSize, 10)
			st.Table = bytes.Repeat([]byte{insertion, 1, 'x', 0}, 160)
			st.Table = append(st.Table, encode(strings.Repeat("v", 5000), false)...)
		},
	} {
		st := good
		if change(&st); g.Takes(&st) == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestMove_EachGetsItsAcknowledgment: of two SETTINGS, one the server's and one of ours, the server hears of its own
// only, when that is acknowledged.
func TestMove_EachGetsItsAcknowledgment(t *testing.T) {
	t.Parallel()
	ack, ping := appendFrame(nil, typeSettings, flagAck, 0), appendFrame(nil, typePing, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8)
	for name, want := range map[string][]byte{
		"the server's first": slices.Concat(ack, ping, data), "ours first": slices.Concat(ping, ack, data),
	} {
		c, client := pipe(t)
		says := []func(){
			func() { _, _ = c.Write(settings) },
			func() {
				c.writes.mu.Lock()
				defer c.writes.mu.Unlock()
				c.books.mu.Lock()
				frame := c.books.sayWindow(0)
				c.books.mu.Unlock()
				c.insert(frame)
			},
		}
		if name == "ours first" {
			slices.Reverse(says)
		}
		go func() {
			for _, say := range says {
				say()
			}
		}()
		must.Get(io.ReadFull(client, make([]byte, 2*headSize+settingBytes)))(t)
		go func() { _, _ = client.Write(slices.Concat(ack, ping, ack, data)) }()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: the server reads % x, %v; want % x", name, got, err, want)
		}
	}
}

// any returns a connection.
func (c *chain) any() *Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		return conn
	}
	return nil
}

// TestMove_NextRequestsGoAlong: while the server owes an answer only, nothing more is read.
func TestMove_NextRequestsGoAlong(t *testing.T) {
	t.Parallel()
	release, handling := make(chan struct{}), make(chan string, 2)
	c, addr := newChain(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/next" && isClosed(release) {
			handling <- "the next server has it"
			return
		}
		handling <- r.URL.Path
		<-release
	}), nil)
	c.hold = patience
	r := c.dial(t, addr)
	get := func(stream uint32, path string) []byte {
		return appendFrame(nil, typeHeaders, flagEndHeaders|flagEndStream, stream, post(stream, path)[headSize:]...)
	}
	r.send(get(1, "/slow"))
	<-handling
	conn, upgraded := c.any(), make(chan struct{})
	go func() {
		c.upgrade()
		close(upgraded)
	}()
	for conn.moving.Load() == nil || conn.reads.waiting() {
		time.Sleep(time.Millisecond)
	}
	r.send(get(3, "/next"))
	time.Sleep(10 * time.Millisecond) // a server that reads has it by then
	close(release)
	<-upgraded
	r.answer(3)
	if got := <-handling; got != "the next server has it" {
		t.Error("the server that owes an answer has read the next request")
	}
	c.expectMoved(1)
}

// TestMove_AsksTheServer whether it has acknowledged all SETTINGS, if there is one ACK for two.
func TestMove_AsksTheServer(t *testing.T) {
	t.Parallel()
	c, client := pipe(t)
	got := make(chan []byte, 1)
	go func() {
		_, _ = client.Write(slices.Concat(settings, settings))
		b := make([]byte, 2*headSize)
		_, _ = io.ReadFull(client, b)
		_, _ = client.Write(appendFrame(nil, typeSettings, flagAck, 0))
		got <- b
	}()
	b := make([]byte, 100)
	must.Get(io.ReadFull(c, b[:2*headSize]))(t)
	ack := appendFrame(nil, typeSettings, flagAck, 0)
	go func() { _, _ = c.Write(slices.Concat(settings, ack)) }()
	must.Get(io.ReadFull(c, b[:headSize]))(t)
	<-got
	to := &probeTaker{offered: make(chan *State, 1)}
	c.Move(to, Pace{Patience: patience})
	must.Get(io.ReadFull(c, b[:headSize+pingSize]))(t)
	if !bytes.Equal(b[headSize:headSize+pingSize], marker[:]) {
		t.Fatalf("the server reads % x", b[:headSize+pingSize])
	}
	answer := appendFrame(nil, typePing, flagAck, 0, marker[:]...)
	go func() {
		for i := range answer {
			must.Get(c.Write(answer[i : i+1]))(t) // which nobody reads
		}
	}()
	if _, err := c.Read(b); !errors.Is(err, io.EOF) {
		t.Errorf("Read = %v", err)
	}
	<-to.offered
	if n, err := c.Write(data); n != len(data) || err != nil { // nor this
		t.Errorf("Write = %d, %v", n, err)
	}
}

func FuzzParseState(f *testing.F) {
	full := State{Last: 7, Send: 1, Receive: 2, Table: probeTable, Held: settings}
	full.Client.set(settingFrameSize, 1<<14)
	full.Server.set(settingNoPriorities, 1)
	f.Add(full.Append(nil))
	f.Add((&State{}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := ParseState(b)
		if err != nil {
			return
		}
		again, err := ParseState(st.Append(nil))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(st) {
			t.Fatalf("%v, %v: %v", again, st, err)
		}
	})
}
