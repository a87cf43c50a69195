//go:build unix

package core

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// The old and the new process that a test plays in this one, against the real lifecycle of the other.

// player is one end of a handover socket.
type player struct {
	t   *testing.T
	ctl net.Conn
}

// word is a frame.
type word struct {
	ty  wire.Type
	msg any
}

func (p *player) says(ty wire.Type, msg any) {
	p.t.Helper()
	p.saysAtOnce(word{ty, msg})
}

// saysAtOnce says the words in one write: after the first of them the other side may have hung up.
func (p *player) saysAtOnce(words ...word) {
	p.t.Helper()
	p.writes(string(frames(p.t, words...)))
}

// frames are the bytes of words.
func frames(t testing.TB, words ...word) (b []byte) {
	t.Helper()
	for _, w := range words {
		var err error
		b, err = wire.Append(b, w.ty, w.msg)
		must(t, err)
	}
	return b
}

// frame is a word as the other side reads it.
func frame(t *testing.T, w word) wire.Frame {
	t.Helper()
	f, err := wire.Read(bytes.NewReader(frames(t, w)))
	must(t, err)
	return f
}

// writes writes bytes that may be no frame.
func (p *player) writes(s string) {
	p.t.Helper()
	_, err := io.WriteString(p.ctl, s)
	must(p.t, err)
}

// next reads the next frame.
func (p *player) next() wire.Frame {
	p.t.Helper()
	must(p.t, p.ctl.SetReadDeadline(time.Now().Add(patience)))
	f, err := wire.Read(p.ctl)
	must(p.t, err)
	return f
}

// awaits reads until a frame of the type comes.
func (p *player) awaits(want wire.Type) wire.Frame {
	p.t.Helper()
	for {
		if f := p.next(); f.Type == want {
			return f
		}
	}
}

// expect checks the type of a frame.
func (p *player) expect(f wire.Frame, want wire.Type) wire.Frame {
	p.t.Helper()
	if f.Type != want {
		p.t.Fatalf("it hears %v, want %v", f.Type, want)
	}
	return f
}

// playedNew is a new process, behind the seam.
type playedNew struct {
	player
	names   wire.WelcomeMsg
	files   int
	signals chan os.Signal
	ended   chan string // how
}

func (f *playedNew) PID() int                   { return 1 << 30 }
func (f *playedNew) Signal(sig os.Signal) error { f.signals <- sig; return nil }
func (f *playedNew) Wait() spawn.Exit           { return spawn.Exit{Text: <-f.ended} }

// playNew makes an Upgrader with one listener, which is ready. Each of its new processes is played in a
// goroutine of its own. It has ended well when play returns, unless play has ended it.
func playNew(t *testing.T, play func(f *playedNew), opts ...Option) *Upgrader {
	t.Helper()
	start := func(_ string, _ spawn.Launch, control string, files []int) (spawn.Process, error) {
		c, err := wire.ParseHandover(control)
		must(t, err)
		s, err := fd.DupOf(files[len(files)-1])
		must(t, err)
		if c.Descriptor != fd.First+len(files)-1 || c.PID != os.Getpid() {
			t.Errorf("%s says %v for %d files", wire.EnvHandover, c, len(files))
		}
		ctl, err := fd.Conn(s)
		must(t, err)
		f := &playedNew{
			player: player{t, ctl}, files: len(files) - 1,
			signals: make(chan os.Signal, 8), ended: make(chan string, 2),
		}
		go func() {
			defer f.ends("fine")
			must(t, f.next().Decode(&f.names))
			play(f)
		}()
		return f, nil
	}
	Alone(t)
	u := newAlone(t, system{start: start}, opts)
	u.ListenTest(t).(*listener).served.Store(true) // as if a server of gracex's had it
	must(t, u.Ready())
	return u
}

// hears reads the next frame, which has to be of the type.
func (f *playedNew) hears(want wire.Type) wire.Frame {
	f.t.Helper()
	return f.expect(f.next(), want)
}

// ends is the end of the process by itself.
func (f *playedNew) ends(how string) {
	f.ended <- how
	f.ctl.Close()
}

// isKilled waits for the signal that it can't ignore.
func (f *playedNew) isKilled() {
	f.t.Helper()
	expectEqual(f.t, "the signal", <-f.signals, os.Kill)
	f.ends("signal: killed")
}

// obeys ends as the process is told, by the first signal.
func (f *playedNew) obeys() {
	f.t.Helper()
	f.ends("signal: " + (<-f.signals).String())
}

// getsReady says what a new process says until it is ready.
func (f *playedNew) getsReady(msg wire.ReadyMsg) {
	f.t.Helper()
	f.says(wire.Hello, nil)
	f.says(wire.Ready, msg)
}

// beginsProbation waits for a commit with a probation.
func (f *playedNew) beginsProbation() {
	f.t.Helper()
	var msg wire.CommitMsg
	must(f.t, f.hears(wire.Commit).Decode(&msg))
	expectEqual(f.t, "the commit asks for a probation", msg.ProbationMillis > 0 && !msg.Again, true)
}

// goesOnProbation gets ready, and is on probation.
func (f *playedNew) goesOnProbation() {
	f.t.Helper()
	f.getsReady(wire.ReadyMsg{Probation: true})
	f.beginsProbation()
}

// passesProbation answers pings until the old process says confirm.
func (f *playedNew) passesProbation() {
	f.t.Helper()
	for {
		fr := f.next()
		if fr.Type != wire.Ping {
			f.expect(fr, wire.Confirm)
			return
		}
		f.says(wire.Pong, nil)
	}
}

// rejectsItself ends its probation, and is given up.
func (f *playedNew) rejectsItself() {
	f.t.Helper()
	f.goesOnProbation()
	f.says(wire.Reject, wire.Because("bad"))
	f.awaits(wire.Abort)
}

// serves says that it serves, and waits until the old process has drained.
func (f *playedNew) serves() {
	f.t.Helper()
	f.says(wire.Confirmed, nil)
	f.outlives()
}

// outlives answers until the old process has drained.
func (f *playedNew) outlives() {
	f.t.Helper()
	f.answersUntil(wire.Drained)
}

// answersUntil answers pings until a frame of the type comes.
func (f *playedNew) answersUntil(want wire.Type) wire.Frame {
	f.t.Helper()
	for {
		fr := f.next()
		switch fr.Type {
		case want:
			return fr
		case wire.Ping:
			f.says(wire.Pong, nil)
		}
	}
}

// expectUpgrade upgrades, and checks the error and that its text holds the parts.
func (u *Upgrader) expectUpgrade(t *testing.T, want error, parts ...string) Result {
	t.Helper()
	res, err := u.Upgrade(t.Context())
	expectError(t, err, want, parts...)
	return res
}

// expectDone checks the error with which the process ends, and that its text holds the parts.
func (u *Upgrader) expectDone(t *testing.T, want error, parts ...string) {
	t.Helper()
	awaitClosed(t, u.Done())
	expectError(t, u.Err(), want, parts...)
}

func expectError(t *testing.T, err, want error, parts ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("the error is %v, want %v", err, want)
	}
	expectText(t, fmt.Sprint(err), parts...)
}

func expectText(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q lacks %q", text, part)
		}
	}
}

func (u *Upgrader) expectState(t *testing.T, want State) {
	t.Helper()
	expectEqual(t, "the state", u.State(), want)
}

// listens is the program's first listener.
func (u *Upgrader) listens() *listener {
	all := only[*listener](u.passing.all())
	return all[slices.IndexFunc(all, func(l *listener) bool { return l.origin.Network != networkControl })]
}

// expectAccepts checks that the process is the current one, and that its first listener accepts.
func (u *Upgrader) expectAccepts(t *testing.T) {
	t.Helper()
	l := u.listens()
	c, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer c.Close()
	nc, err := l.Accept()
	must(t, err)
	must(t, nc.Close())
	u.expectState(t, StateCurrent)
}

// playedOld is an old process.
type playedOld struct{ player }

// playOld makes an Upgrader whose old process is played.
func playOld(t *testing.T, opts ...Option) (*Upgrader, *playedOld) {
	t.Helper()
	ours, theirs := controlPair(t)
	return playOldAt(t, ours, peer.NewOld(theirs), opts...)
}

// playOldAt is playOld for the one whose end of the handover socket is ours.
func playOldAt(t *testing.T, ours net.Conn, old *peer.Old, opts ...Option) (*Upgrader, *playedOld) {
	t.Helper()
	Alone(t)
	beforeNew.mu.Lock()
	beforeNew.taken, beforeNew.inherited = false, &inheritance{generation: 1, old: old}
	beforeNew.mu.Unlock()
	u := newAlone(t, realSystem, opts)
	t.Cleanup(func() { ours.Close() }) // before the Upgrader is stopped
	return u, &playedOld{player{t, ours}}
}

// playCurrent makes one that is current, serves srv and still has its old process.
func playCurrent(t *testing.T, srv *http.Server, opts ...Option) (*Upgrader, *playedOld) {
	t.Helper()
	u, o := playOld(t, opts...)
	u.AttachTest(t, srv)
	o.handsOver(u, wire.CommitMsg{DrainMillis: 1000})
	o.hears(wire.Confirmed)
	return u, o
}

func notFound() *http.Server { return &http.Server{Handler: http.NotFoundHandler()} }

// controlPair returns both ends of a handover socket, which are closed with the test.
func controlPair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	ours, end, err := fd.Pair()
	must(t, err)
	t.Cleanup(func() { ours.Close() })
	theirs, err = fd.Conn(end)
	must(t, err)
	t.Cleanup(func() { theirs.Close() })
	return ours, theirs
}

// hears waits for a frame of the type. That the new process has acknowledged that it serves is
// between any two.
func (o *playedOld) hears(want wire.Type) {
	o.t.Helper()
	f := o.next()
	if f.Type == wire.Confirmed && want != f.Type {
		f = o.next()
	}
	o.expect(f, want)
}

// hearsReady lets the new process say Ready, which returns at an answer.
func (o *playedOld) hearsReady(u *Upgrader) (returned <-chan error) {
	o.t.Helper()
	ready := make(chan error, 1)
	go func() { ready <- u.Ready() }()
	o.hears(wire.Ready)
	return ready
}

// handsOver makes the new process the current one.
func (o *playedOld) handsOver(u *Upgrader, commit wire.CommitMsg) {
	o.t.Helper()
	ready := o.hearsReady(u)
	o.says(wire.Commit, commit)
	must(o.t, <-ready)
}

// confirmsStop reads until the new process ends, and answers its stop.
func (o *playedOld) confirmsStop() {
	_ = o.ctl.SetReadDeadline(conns.NoDeadline)
	for {
		switch f, err := wire.Read(o.ctl); {
		case err != nil:
			return
		case f.Type == wire.Settled:
			_ = wire.Write(o.ctl, wire.Confirm, wire.CommitMsg{})
		}
	}
}

// offers sends an Offer with the server's ends of connections, and returns the answer.
func (o *playedOld) offers(what []wire.Conn, conns ...net.Conn) (msg wire.TakenMsg) {
	o.t.Helper()
	o.sends(wire.OfferMsg{Conns: what}, conns...)
	f := o.next()
	if f.Type == wire.Settled { // it is asked to stop meanwhile
		f = o.next()
	}
	must(o.t, o.expect(f, wire.Taken).Decode(&msg))
	return msg
}

// moves offers one connection, which has to be taken.
func (o *playedOld) moves(what wire.Conn, server net.Conn) {
	o.t.Helper()
	if msg := o.offers([]wire.Conn{what}, server); len(msg.Refused) != 0 {
		o.t.Errorf("%+v is refused: %+v", what, msg)
	}
}

// sends sends an Offer, which may be none, with connections, which it closes as the old process does once
// they are taken.
func (o *playedOld) sends(offer any, conns ...net.Conn) {
	o.t.Helper()
	var files []int
	for _, c := range conns {
		s := dupOf(o.t, c)
		defer fd.Close(s)
		must(o.t, c.Close())
		files = append(files, s)
	}
	must(o.t, fd.Send(o.ctl.(*net.UnixConn), frames(o.t, word{wire.Offer, offer}), files))
}

// dupOf is a descriptor of the socket, for the caller to close.
func dupOf(t *testing.T, c any) int {
	t.Helper()
	rc, err := c.(syscall.Conn).SyscallConn()
	must(t, err)
	s, err := fd.Dup(rc)
	must(t, err)
	return s
}

// pair makes a connection and returns both ends of it.
func pair(t *testing.T) (c *rawhttp.Client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	c = rawhttp.Dial(t, ln.Addr().String())
	server, err = ln.Accept()
	must(t, err)
	return c, server
}

// pairAt returns both ends of a connection to a listener of u's, as the old process would have it.
func pairAt(t *testing.T, u *Upgrader, addr string) (c *rawhttp.Client, server net.Conn) {
	t.Helper()
	l := only[*listener](u.passing.all())[0]
	for _, other := range only[*listener](u.passing.all()) {
		if other.Addr().String() == addr {
			l = other
		}
	}
	if l.pause() {
		defer l.resume()
	}
	l.settle() // the connection is not for this process's own accept loop
	s, err := fd.DupOf(l.duplicate())
	must(t, err)
	ln, err := fd.Listener(s)
	must(t, err)
	defer ln.Close()
	must(t, fd.Close(s))
	c = rawhttp.Dial(t, l.Addr().String())
	server, err = ln.Accept()
	must(t, err)
	return c, server
}

// expectEnd checks that the other side has closed the connection.
func expectEnd(t *testing.T, c net.Conn, what string) {
	t.Helper()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%s: it is held: %v", what, err)
	}
}

func expectServes(t *testing.T, addr string) {
	t.Helper()
	resp, err := http.Get("http://" + addr)
	must(t, err)
	must(t, resp.Body.Close())
}

func awaitClosed(t *testing.T, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatal("it is not closed")
	}
}
