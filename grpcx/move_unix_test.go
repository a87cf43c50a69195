//go:build unix

package grpcx_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// running is the program.
type running struct {
	*proctest.Program
	t    *testing.T
	file string // of the settings
	settings
}

// start starts it, and returns when it serves.
func start(t *testing.T, s settings) *running {
	t.Helper()
	dir := t.TempDir()
	s.Addr, s.PIDFile = proctest.FreeAddr(t), filepath.Join(dir, "pid")
	if s.Drain == 0 {
		s.Drain = 40 * time.Second
	}
	p := &running{t: t, file: filepath.Join(dir, "settings"), settings: s}
	p.write()
	cmd := exec.Command(must.Get(os.Executable())(t))
	cmd.Env = append(os.Environ(), envProgram+"=server", envSettings+"="+p.file, "XDG_RUNTIME_DIR="+dir)
	if s.Env != "" {
		cmd.Env = append(cmd.Env, s.Env)
	}
	p.Program = proctest.Start(t, cmd)
	t.Cleanup(func() {
		if p.Log.Count("DATA RACE")+p.Log.Count("panic:") > 0 {
			t.Errorf("a process has complained:\n%s", p.Log)
		}
	})
	p.AwaitPID(p.PIDFile, 0)
	return p
}

// write writes the settings for the processes that start from here on.
func (p *running) write() {
	p.t.Helper()
	must.Do(p.t, os.WriteFile(p.file, must.Get(json.Marshal(p.settings))(p.t), 0o600))
}

func (p *running) pid() int { return p.AwaitPID(p.PIDFile, 0) }

// upgrade returns when the next generation serves, and the n-th one has ended.
func (p *running) upgrade(n int) {
	p.t.Helper()
	old := p.pid()
	p.Signal(old, syscall.SIGUSR2)
	p.AwaitPID(p.PIDFile, old)
	// One that was rolled back has had the same number.
	p.AwaitLog(fmt.Sprintf("msg=\"generation ended\" generation=%d own_pid=%d ", n, old), 1)
}

func (p *running) awaitEnd(n int) {
	p.AwaitLog("msg=\"generation ended\" generation="+strconv.Itoa(n)+" ", 1)
}

// rollBack has an upgrade rolled back.
func (p *running) rollBack() {
	p.t.Helper()
	p.Rejects = true
	p.write()
	p.Signal(p.pid(), syscall.SIGUSR2)
	p.AwaitLog("this process serves again", 1)
	p.Rejects = false
	p.write()
}

func (p *running) stop() {
	p.t.Helper()
	p.Signal(p.pid(), syscall.SIGTERM)
	if code := p.AwaitEnd(); code != 0 {
		p.t.Errorf("generation 0 has ended with status %d", code)
	}
}

// client is one of grpc-go's, which does not retry.
type client struct {
	*grpc.ClientConn
	t            *testing.T
	dials, again atomic.Int64 // connections, and calls that grpc-go itself has sent once more
	handshakes   atomic.Int64
	secrecy      atomic.Pointer[string] // what the server has said of TLS at first
}

// connect makes a client over TLS by that config, or in the clear without one.
func connect(t *testing.T, addr string, conf *tls.Config) *client {
	t.Helper()
	c := &client{t: t}
	creds := insecure.NewCredentials()
	if conf != nil {
		conf = conf.Clone()
		conf.ServerName = "127.0.0.1" // it has no other name
		conf.VerifyConnection = func(tls.ConnectionState) error { c.handshakes.Add(1); return nil }
		creds = credentials.NewTLS(conf)
	}
	c.ClientConn = must.Get(grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(creds), grpc.WithDisableRetry(), grpc.WithStatsHandler(c),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			c.dials.Add(1)
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		})))(t)
	t.Cleanup(func() { c.Close() })
	return c
}

// HandleRPC counts.
func (c *client) HandleRPC(_ context.Context, s stats.RPCStats) {
	if begin, ok := s.(*stats.Begin); ok && begin.IsTransparentRetryAttempt {
		c.again.Add(1)
	}
}

func (*client) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*client) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*client) HandleConn(context.Context, stats.ConnStats)                       {}

// ask makes a unary call whose answer has n bytes, and returns the generation that gives it.
func (c *client) ask(n int) (string, error) {
	var header metadata.MD
	ctx, cancel := context.WithTimeout(c.t.Context(), proctest.Patience)
	defer cancel()
	r, err := grpc_testing.NewTestServiceClient(c).UnaryCall(ctx, &grpc_testing.SimpleRequest{ResponseSize: int32(n)}, grpc.Header(&header))
	if err == nil && len(r.GetPayload().GetBody()) != n {
		err = fmt.Errorf("the answer has %d bytes, want %d", len(r.GetPayload().GetBody()), n)
	}
	if err != nil {
		return "", err
	}
	said := header.Get("x-tls")[0]
	if first := c.secrecy.Load(); first == nil {
		c.secrecy.Store(&said)
	} else if c.dials.Load() == 1 && said != *first {
		err = fmt.Errorf("the server knows %q, and knew %q", said, *first)
	}
	return header.Get("x-generation")[0], err
}

func (c *client) mustAsk(n int, generation int) {
	c.t.Helper()
	if by := must.Get(c.ask(n))(c.t); by != strconv.Itoa(generation) {
		c.t.Errorf("generation %s answers, want %d", by, generation)
	}
}

// stream sends in messages of n bytes each, and takes out of them.
func (c *client) stream(method string, in, out, n int) error {
	ctx, cancel := context.WithTimeout(c.t.Context(), proctest.Patience)
	defer cancel()
	s, err := c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/grpc.testing.TestService/"+method)
	if err != nil {
		return err
	}
	payload := &grpc_testing.Payload{Body: make([]byte, n)}
	for range in {
		var m any = &grpc_testing.StreamingInputCallRequest{Payload: payload}
		if method != "StreamingInputCall" {
			r := &grpc_testing.StreamingOutputCallRequest{Payload: payload}
			for range out / in {
				r.ResponseParameters = append(r.ResponseParameters, &grpc_testing.ResponseParameters{Size: int32(n)})
			}
			m = r
		}
		if err := s.SendMsg(m); err != nil && !errors.Is(err, io.EOF) { // then RecvMsg says why
			return err
		}
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	for range out {
		if method == "StreamingInputCall" {
			var m grpc_testing.StreamingInputCallResponse
			if err := s.RecvMsg(&m); err != nil || int(m.GetAggregatedPayloadSize()) != in*n {
				return fmt.Errorf("%d of %d bytes have come: %w", m.GetAggregatedPayloadSize(), in*n, err)
			}
			continue
		}
		var m grpc_testing.StreamingOutputCallResponse
		if err := s.RecvMsg(&m); err != nil || len(m.GetPayload().GetBody()) != n {
			return fmt.Errorf("a message of %d bytes, want %d: %w", len(m.GetPayload().GetBody()), n, err)
		}
	}
	if err := s.RecvMsg(new(grpc_testing.StreamingOutputCallResponse)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("behind the last message: %w", err)
	}
	return nil
}

// kind is a kind of call.
type kind struct {
	name string
	call func(c *client) error
}

// goOn calls again and again until stop is closed or a call fails. done is called after each.
func (k kind) goOn(t *testing.T, c *client, stop <-chan struct{}, done func()) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond):
		}
		if err := k.call(c); err != nil {
			t.Errorf("%s: %v", k.name, err)
			return
		}
		done()
	}
}

// kinds are the calls: small ones, and such that are larger than the windows.
var kinds = [...]kind{
	{"unary", func(c *client) error { _, err := c.ask(100); return err }},
	{"unary, large", func(c *client) error { _, err := c.ask(200_000); return err }},
	{"client", func(c *client) error { return c.stream("StreamingInputCall", 5, 1, 3000) }},
	{"client, large", func(c *client) error { return c.stream("StreamingInputCall", 2, 1, 200_000) }},
	{"server", func(c *client) error { return c.stream("StreamingOutputCall", 1, 5, 3000) }},
	{"bidi", func(c *client) error { return c.stream("FullDuplexCall", 5, 10, 3000) }},
}

// TestMove_ClientsNoticeNothing: calls of all kinds, also such that raise the windows of both sides, and connections on which
// nothing happens. One of the upgrades is rolled back. GRPCX_TEST_UPGRADES is the long form.
func TestMove_ClientsNoticeNothing(t *testing.T) {
	p := start(t, settings{Probation: 100 * time.Millisecond})
	p.noticeNothing(4, nil)
}

// noticeNothing upgrades the program so many times. Its clients come with that config, or in the clear without one.
func (p *running) noticeNothing(upgrades int, conf *tls.Config) {
	t := p.t
	if n, err := strconv.Atoi(os.Getenv("GRPCX_TEST_UPGRADES")); err == nil {
		upgrades = n
	}
	const connections = 4
	var clients []*client
	var calls [connections][len(kinds)]atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range connections {
		c := connect(t, p.Addr, conf)
		clients = append(clients, c)
		for k, kind := range kinds {
			wg.Go(func() { kind.goOn(t, c, stop, func() { calls[i][k].Add(1) }) })
		}
	}
	goOn := func() {
		t.Helper()
		var want [connections][len(kinds)]int64 // of all at once: a caller after the other takes most of the test's time
		for i := range calls {
			for k := range calls[i] {
				want[i][k] = calls[i][k].Load() + 2
			}
		}
		for i := range calls {
			for k := range calls[i] {
				proctest.Await(t, kinds[k].name+" calls go on", func() bool { return t.Failed() || calls[i][k].Load() >= want[i][k] })
			}
		}
	}
	// These are idle. One has had an answer of which it has not given all of the window back.
	fresh, used, odd := connect(t, p.Addr, conf), connect(t, p.Addr, conf), connect(t, p.Addr, conf)
	fresh.mustAsk(0, 0)
	used.mustAsk(100, 0)
	odd.mustAsk(40_000, 0)
	idle := []*client{fresh, used, odd}
	goOn()
	for n := range upgrades {
		if n == upgrades/2 {
			p.rollBack()
			goOn()
			used.mustAsk(0, n)
		}
		p.upgrade(n)
		goOn()
		odd.mustAsk(40_000, n+1)
		if n%2 == 1 {
			used.mustAsk(300_000, n+1)
		}
	}
	fresh.mustAsk(70_000, upgrades)
	close(stop)
	wg.Wait()
	total := int64(0)
	for i := range calls {
		for k := range calls[i] {
			total += calls[i][k].Load()
		}
	}
	dials, handshakes := int64(0), int64(0)
	for _, c := range append(clients, idle...) {
		dials += c.dials.Load()
		handshakes += c.handshakes.Load()
		if n := c.again.Load(); n > 0 {
			t.Errorf("grpc-go has sent %d calls again", n)
		}
	}
	t.Logf("%d upgrades and a rollback, %d calls, %d connections", upgrades, total, dials)
	if want := int64(connections + len(idle)); dials != want || conf != nil && handshakes != want {
		t.Errorf("%d connections and %d handshakes, want %d", dials, handshakes, want)
	}
	p.stop()
	what := "http2"
	if conf != nil {
		what = "tls"
	}
	if n := p.Log.Count(fmt.Sprintf("ledger.moved_%s=%d ", what, connections+len(idle))); n != upgrades {
		t.Errorf("%d generations say that all connections have moved", n)
	}
}

// TestMove_Refused: the client may open more streams than the new version permits.
func TestMove_Refused(t *testing.T) {
	t.Parallel()
	p := start(t, settings{})
	c, stays := connect(t, p.Addr, nil), connect(t, p.Addr, nil)
	c.mustAsk(0, 0)
	stays.mustAsk(0, 0)
	p.MaxStreams = 10
	p.write()
	p.upgrade(0)
	proctest.Await(t, "it connects anew", func() bool { return must.Get(c.ask(0))(t) == "1" })
	proctest.Await(t, "the other one does, too", func() bool { return must.Get(stays.ask(0))(t) == "1" })
	p.MaxStreams = 20 // more is no reason
	p.write()
	p.upgrade(1)
	c.mustAsk(0, 2)
	if n := c.dials.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
	p.stop()
	if p.Log.Count("stayed_http2_streams=0 ledger.stayed_http2_refused=2 ledger.stayed_http2_other=0") != 1 || p.Log.Count("ledger.moved_http2=2 ") != 1 {
		t.Error("the ledgers do not count the two that were refused, and those that have moved")
	}
}

// TestMove_Off is a program that wants no connection to move.
func TestMove_Off(t *testing.T) {
	t.Parallel()
	p := start(t, settings{NoHandoff: true})
	c := connect(t, p.Addr, nil)
	c.mustAsk(0, 0)
	p.upgrade(0)
	proctest.Await(t, "it connects anew", func() bool { return must.Get(c.ask(0))(t) == "1" })
	p.stop()
}

// TestMove_StreamWithoutEnd keeps its connection in the old process, whose client is asked to leave. Others move.
func TestMove_StreamWithoutEnd(t *testing.T) {
	t.Parallel()
	p := start(t, settings{Drain: 8 * time.Second}) // so that it stays after 2 s
	c, other := connect(t, p.Addr, nil), connect(t, p.Addr, nil)
	other.mustAsk(0, 0)
	s := must.Get(grpc_testing.NewTestServiceClient(c).FullDuplexCall(t.Context()))(t)
	goOn := func() {
		t.Helper()
		must.Do(t, s.Send(&grpc_testing.StreamingOutputCallRequest{ResponseParameters: []*grpc_testing.ResponseParameters{{Size: 1}}}))
		must.Get(s.Recv())(t)
	}
	goOn()
	p.Signal(p.pid(), syscall.SIGUSR2)
	proctest.Await(t, "it connects anew for the next call", func() bool { return must.Get(c.ask(0))(t) == "1" })
	other.mustAsk(0, 1)
	goOn() // on its connection
	must.Do(t, s.CloseSend())
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	p.awaitEnd(0)
	if n, m := c.dials.Load(), other.dials.Load(); n != 2 || m != 1 {
		t.Errorf("%d and %d connections", n, m)
	}
	p.stop()
	if p.Log.Count("ledger.moved_http2=1 ledger.stayed_http2_streams=1 ledger.stayed_http2_refused=0 ledger.stayed_http2_other=0") != 1 {
		t.Error("the ledger does not count the one that has moved, and the one that stays")
	}
}

// Types of frames, flags and a parameter of SETTINGS (RFC 9113, section 6).
const (
	frameData         = 0
	frameHeaders      = 1
	frameSettings     = 4
	framePing         = 6
	frameGoAway       = 7
	frameWindowUpdate = 8

	flagAck       = 1
	flagEndStream = 1
	flagEndHeader = 4

	settingWindow = 4
	firstWindow   = 65535
)

// raw is a client that says what it is told to, and keeps the books of the connection's window.
type raw struct {
	net.Conn
	t        *testing.T
	room     int // what it may send on the connection
	window   int // of its streams
	noAck    bool
	goesAway bool
	pings    [][]byte
	dones    map[uint32]bool
	given    map[uint32]int // by WINDOW_UPDATE, to its streams
}

func dialRaw(t *testing.T, addr string) *raw {
	t.Helper()
	c := &raw{Conn: must.Get(net.Dial("tcp", addr))(t), t: t, room: firstWindow, window: firstWindow, dones: map[uint32]bool{}, given: map[uint32]int{}}
	t.Cleanup(func() { c.Close() })
	must.Do(t, c.SetDeadline(time.Now().Add(proctest.Patience)))
	must.Get(io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))(t)
	c.send(frameSettings, 0, 0, nil)
	return c
}

func (c *raw) send(kind, flags byte, stream uint32, payload []byte) {
	c.t.Helper()
	n := len(payload)
	f := binary.BigEndian.AppendUint32([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}, stream)
	must.Get(c.Write(append(f, payload...)))(c.t)
}

// open opens a stream for a StreamingInputCall.
func (c *raw) open(stream uint32) {
	c.t.Helper()
	block := []byte{0x83, 0x86} // POST, http
	for _, f := range [][2]string{{":path", "/grpc.testing.TestService/StreamingInputCall"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		block = append(append(append(append(block, 0x40, byte(len(f[0]))), f[0]...), byte(len(f[1]))), f[1]...)
	}
	c.send(frameHeaders, flagEndHeader, stream, block)
}

// message sends a message of n bytes, with all that is around it.
func (c *raw) message(stream uint32, n int, flags byte) {
	c.t.Helper()
	const prefix, tags = 5, 8 // of gRPC; of the message's two levels, with lengths of three bytes
	m := binary.BigEndian.AppendUint32([]byte{0}, uint32(n-prefix))
	m = binary.AppendUvarint(append(m, 1<<3|2), uint64(n-prefix-tags/2))
	m = binary.AppendUvarint(append(m, 2<<3|2), uint64(n-prefix-tags))
	if m = append(m, make([]byte, n-len(m))...); len(m) != n {
		c.t.Fatalf("a message of %d bytes", len(m))
	}
	for len(m) > 0 {
		part, f := m[:min(len(m), 16384)], byte(0)
		if m = m[len(part):]; len(m) == 0 {
			f = flags
		}
		c.room -= len(part)
		c.send(frameData, f, stream, part)
	}
}

// until reads frames, and does what a client does for them, until cond holds. PINGs are left to pong.
func (c *raw) until(what string, cond func() bool) {
	c.t.Helper()
	for !cond() {
		head := make([]byte, 9)
		if _, err := io.ReadFull(c, head); err != nil {
			c.t.Fatalf("%s: %v", what, err)
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		must.Get(io.ReadFull(c, payload))(c.t)
		stream, ack := binary.BigEndian.Uint32(head[5:]), head[4]&flagAck != 0
		switch kind := head[3]; {
		case kind == frameSettings && !ack:
			for p := payload; len(p) > 0; p = p[6:] {
				if binary.BigEndian.Uint16(p) == settingWindow {
					c.window = int(binary.BigEndian.Uint32(p[2:]))
				}
			}
			if !c.noAck {
				c.send(frameSettings, flagAck, 0, nil)
			}
		case kind == frameWindowUpdate && stream != 0:
			c.given[stream] += int(binary.BigEndian.Uint32(payload))
		case kind == frameWindowUpdate:
			c.room += int(binary.BigEndian.Uint32(payload))
		case kind == framePing && !ack:
			c.pings = append(c.pings, payload)
		case kind == frameGoAway:
			c.goesAway = true
		case kind == frameHeaders && head[4]&flagEndStream != 0:
			c.dones[stream] = true
		case kind == 3:
			c.t.Fatalf("stream %d is reset: % x", stream, payload)
		}
	}
}

func (c *raw) pong() {
	c.t.Helper()
	for _, p := range c.pings {
		c.send(framePing, flagAck, 0, p)
	}
	c.pings = nil
}

// raise has grpc-go's server raise its windows. It does when enough has come before the answer to its PING.
func (c *raw) raise(stream uint32) {
	c.t.Helper()
	c.open(stream)
	c.message(stream, 60_000, flagEndStream)
	c.until("a PING", func() bool { return len(c.pings) > 0 })
	c.until("the end of the call", func() bool { return c.dones[stream] }) // so all has been read
	c.pong()
	c.until("a larger window", func() bool { return c.window > firstWindow })
}

// TestMove_RaisedWindow: what the server's estimate has raised is taken back before the connection moves, as to streams.
// What may be sent on the connection stays what it was, and does not add up.
func TestMove_RaisedWindow(t *testing.T) {
	t.Parallel()
	p := start(t, settings{})
	c := dialRaw(t, p.Addr)
	stream := uint32(1)
	most := 0
	for n := range 4 {
		c.raise(stream)
		if n == 0 {
			most = c.room + firstWindow/2 // of which half can be on its way back
		}
		p.Signal(p.pid(), syscall.SIGUSR2)
		c.until("the first window", func() bool { return c.window == firstWindow })
		p.awaitEnd(n)
		stream += 2
	}
	if c.room > most {
		t.Errorf("it may send %d, and at first %d at the most", c.room, most)
	}
	if c.room < firstWindow {
		t.Errorf("it may send %d", c.room)
	}
	for c.room > 60_000 { // on streams of which each has room for that
		c.open(stream)
		c.message(stream, 60_000, flagEndStream)
		stream += 2
	}
	last := stream - 2
	c.until("the end of all calls", func() bool { c.pong(); return c.dones[last] })
	if c.goesAway {
		t.Error("a server has said GOAWAY")
	}
	c.Close()
	p.stop()
	if n := p.Log.Count("ledger.moved_http2=1 ledger.stayed_http2_streams=0 ledger.stayed_http2_refused=0 ledger.stayed_http2_other=0"); n != 4 {
		t.Errorf("it has moved from %d processes", n)
	}
}

// TestMove_RaisedWindowStays: a client that does not acknowledge that the window is closed is asked to leave, and gets the
// larger one for each stream.
func TestMove_RaisedWindowStays(t *testing.T) {
	t.Parallel()
	p := start(t, settings{Drain: 8 * time.Second}) // so that it stays after 2 s
	c := dialRaw(t, p.Addr)
	c.raise(1)
	raised := c.window
	c.noAck = true
	p.Signal(p.pid(), syscall.SIGUSR2)
	c.until("a closed window", func() bool { return c.window == 0 })
	c.until("GOAWAY", func() bool { return c.goesAway })
	c.open(3)
	c.until("the larger one", func() bool { return c.given[3] > 0 })
	if n := c.given[3]; n != raised {
		t.Errorf("a stream has a window of %d, want %d", n, raised)
	}
	c.message(3, 60_000, flagEndStream)
	c.pong()
	c.until("the end of the call", func() bool { c.pong(); return c.dones[3] })
	c.Close()
	p.awaitEnd(0)
	p.stop()
	if p.Log.Count("ledger.moved_http2=0 ledger.stayed_http2_streams=0 ledger.stayed_http2_refused=0 ledger.stayed_http2_other=1") != 1 {
		t.Error("the ledger does not count it")
	}
}
