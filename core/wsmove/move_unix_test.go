//go:build unix

package wsmove

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

func TestErrMoving_IsNetErrClosedAndNoNetError(t *testing.T) {
	t.Parallel()
	var timeout net.Error
	if err := fmt.Errorf("read: %w", ErrMoving); !errors.Is(err, ErrMoving) || !errors.Is(err, net.ErrClosed) || errors.As(err, &timeout) {
		t.Error(err)
	}
}

// onMessages calls answer for each message, until that or the client fails.
func onMessages(w http.ResponseWriter, answer func(l *library, message string) error, headers ...string) error {
	l, err := upgrade(w, headers...)
	if err != nil {
		return err
	}
	defer l.Close()
	for {
		message, err := l.read()
		if err == nil {
			err = answer(l, message)
		}
		if err != nil {
			return err
		}
	}
}

// TestMove_TheHandlerIsCalledAgain with the same request, and with the state that the process before has left.
func TestMove_TheHandlerIsCalledAgain(t *testing.T) {
	t.Parallel()
	ends := make(chan error, 3)
	process := func(name string, sets bool) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := Move(r)
			if sets {
				s.OnMove(func() []byte { return []byte("left by " + name) })
			}
			said := fmt.Sprintf("%s %v %q: %s %s %s %q %s", name, s.Moved(), s.State(), r.Method, r.RequestURI, r.Host, r.Header["Cookie"], r.RemoteAddr)
			ends <- onMessages(w, func(l *library, _ string) error { return l.write(said) })
		})
	}
	third := newPlayed(t, process("third", true))
	second := newPlayed(t, process("second", false))
	first := newPlayed(t, process("first", true))
	first.next, second.next = second, third
	c := dial(t, first.start(false).Listener.Addr().String(), "/room/%41?q=a%20b", "Cookie: a=1", "Cookie: b=2")
	want := func(process string, moved bool, state string) {
		t.Helper()
		c.say("who?")
		c.hears(fmt.Sprintf(`%s %v %q: GET /room/%%41?q=a%%20b chat.example ["a=1" "b=2"] %s`, process, moved, state, c.LocalAddr()))
	}
	want("first", false, "")
	for i, p := range []*played{first, second} {
		p.leave()
		[]*played{second, third}[i].awaits(1)
		if err := <-ends; !errors.Is(err, ErrMoving) {
			t.Errorf("a handler ends with %v", err)
		}
		want([]string{"second", "third"}[i], true, "left by first") // the second one has left none of its own
	}
	c.send(frameOf(opClose, true, true, []byte{3, 232}))
	if op, _ := c.next(); op != opClose {
		t.Fatalf("opcode %d answers a close frame", op)
	}
	if n, err := io.Copy(io.Discard, c.in); n > 0 || err != nil {
		t.Errorf("when the handler has closed it: %d bytes, %v", n, err)
	}
}

// TestMove_ADrainingProcessPassesOn what still comes to it.
func TestMove_ADrainingProcessPassesOn(t *testing.T) {
	t.Parallel()
	first, second, addr := pair(t, echo("first"), echo("second"))
	third := newPlayed(t, echo("third"))
	second.next = third
	c := dial(t, addr, "/")
	c.send(text("half")[:8])
	first.hasRead(8)
	second.leave()
	first.leave()
	third.awaits(1)
	c.send(text("half")[8:])
	c.hears("third half")
}

// TestMove_EachCompressionThatItCan: the offer that the library sees, and its answer, decide.
func TestMove_EachCompressionThatItCan(t *testing.T) {
	t.Parallel()
	const offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
	for answer, moves := range map[string]bool{
		"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover": true,
		"Sec-WebSocket-Extensions: permessage-deflate":                             false,
		"Sec-WebSocket-Extensions: x-other":                                        false,
	} {
		process := func(name string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				Move(r)
				_ = onMessages(w, func(l *library, _ string) error {
					return l.write(name + " " + r.Header.Get(headerExtensions))
				}, answer)
			})
		}
		first, second, addr := pair(t, process("first"), process("second"))
		c := dial(t, addr, "/", offer)
		c.say("")
		c.hears("first permessage-deflate; client_max_window_bits; client_no_context_takeover")
		first.leave()
		if moves {
			second.awaits(1)
			c.say("")
			c.hears("second permessage-deflate; client_max_window_bits; client_no_context_takeover")
		} else {
			c.ends(codeRestart)
		}
	}
}

// TestMove_WhatCanNotMoveIsToldToReconnect, between two messages: what the client has sent since is not dealt with.
func TestMove_WhatCanNotMoveIsToldToReconnect(t *testing.T) {
	t.Parallel()
	leaves := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Leave(r)
		serveEcho("first", w, false)
	})
	long := echo("first")
	mux := http.NewServeMux()
	for name, tt := range map[string]struct {
		h       http.Handler
		wrap    func(http.Handler) http.Handler
		overTLS bool
		headers []string
		opts    []Option
	}{
		"Leave":         {h: leaves},
		"a moment":      {h: leaves, opts: []Option{WithSpread(10 * time.Millisecond)}},
		"TLS":           {h: echo("first"), overTLS: true},
		"not outermost": {h: echo("first"), wrap: func(h http.Handler) http.Handler { mux.Handle("/", h); return mux }},
		"long request":  {h: long, headers: []string{"X-Long: " + strings.Repeat("x", maxRequest)}},
		"no taker":      {h: echo("first")},
		"a state that is too long": {h: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			Move(r).OnMove(func() []byte { return make([]byte, MaxState+1) })
			serveEcho("first", w, false)
		})},
		"a state that panics": {h: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			Move(r).OnMove(func() []byte { panic("no state") })
			serveEcho("first", w, false)
		})},
	} {
		for _, stops := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", stops ", stops), func(t *testing.T) {
				p := newPlayed(t, tt.h, tt.opts...)
				if name != "no taker" {
					p.next = newPlayed(t, echo("second"))
				}
				srv := p.start(tt.overTLS)
				if tt.wrap != nil && !stops {
					srv.Config.Handler = tt.wrap(p.mover)
				}
				var c *client
				if addr := srv.Listener.Addr().String(); tt.overTLS {
					c = dialTLS(t, addr, "/")
				} else {
					c = dial(t, addr, "/", tt.headers...)
				}
				c.say("1")
				c.hears("first 1")
				c.send(text("half")[:7])
				p.hasRead(len(text("1")) + 7)
				p.stops.Store(stops)
				p.leave()
				c.ends(map[bool]uint16{false: codeRestart, true: codeGoingAway}[stops])
				p.awaits(0)
			})
		}
	}
}

// TestMove_TheServerClosesFirst, when the client has answered the close frame, as some clients expect it (RFC 6455,
// section 7.1.1).
func TestMove_TheServerClosesFirst(t *testing.T) {
	t.Parallel()
	p := newPlayed(t, echo("first"))
	p.goodbyeTime = time.Hour
	c := dial(t, p.start(false).Listener.Addr().String(), "/")
	c.send(text("half")[:7])
	p.hasRead(7)
	p.leave()
	if op, _ := c.next(); op != opClose {
		t.Fatalf("opcode %d, and no close frame", op)
	}
	c.send(append(text("half")[7:], frameOf(opClose, true, true, []byte{3, 244})...))
	await(t, "the other half is closed", func() bool {
		_, err := c.Write([]byte{0})
		return err != nil
	})
}

// TestMove_WithoutItNothingIsBetween the library and the socket.
func TestMove_WithoutItNothingIsBetween(t *testing.T) {
	t.Parallel()
	p := newPlayed(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		l, err := upgrade(w)
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		_ = l.write(fmt.Sprintf("%T", l.Conn))
	}))
	srv := p.start(false)
	dial(t, srv.Listener.Addr().String(), "/").hears("*net.TCPConn")
	r := must.Get(http.NewRequest(http.MethodGet, "/", nil))(t)
	if s := Move(r); s.Moved() || s.State() != nil {
		t.Errorf("without a Handler: %+v", s)
	}
}

// TestMove_RefusedByTheNewVersion: it does not answer as the old one did. The client is told to reconnect, and gets the
// true answer then.
func TestMove_RefusedByTheNewVersion(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		after http.HandlerFunc
		log   string
		code  uint16
	}{
		"no route":         {http.NotFound, "request=/room status=404", codeRestart},
		"login":            {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, "request=/room status=401", codeRestart},
		"no answer":        {func(http.ResponseWriter, *http.Request) {}, "request=/room status=0", codeRestart},
		"panic":            {func(http.ResponseWriter, *http.Request) { panic("before") }, "panic=before", codeRestart},
		"another protocol": {func(w http.ResponseWriter, _ *http.Request) { _, _ = upgrade(w, "Sec-WebSocket-Protocol: v2") }, "request=/room", codeRestart},
		"another extension": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = upgrade(w, "Sec-WebSocket-Protocol: v1", headerExtensions+": x")
		}, "request=/room", codeRestart},
		"hijacks, answers by hand": {func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			must.Do(t, err)
			_, err = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			if err == nil {
				t.Error("400 is taken for the answer that the client has")
			}
			c.Close()
		}, "request=/room", codeRestart},
		"answers, then hijacks": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			_, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				t.Error("hijacked")
			}
		}, "error=\"" + errAnswered.Error(), codeRestart},
		"too slow": {func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			if _, err := upgrade(w); !errors.Is(err, errTooLate) {
				t.Errorf("after its time: %v", err)
			}
		}, "within=1ms", codeRestart},
		"panics later": {func(w http.ResponseWriter, _ *http.Request) {
			_, err := upgrade(w, "Sec-WebSocket-Protocol: v1")
			must.Do(t, err)
			panic("after")
		}, "panic=after", codeInternal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second, addr := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				Move(r)
				_ = onMessages(w, func(*library, string) error { return nil }, "Sec-WebSocket-Protocol: v1")
			}), tt.after)
			if name == "too slow" {
				second.handshakeTime = time.Millisecond
			}
			c := dial(t, addr, "/room?token=secret")
			first.leave()
			c.ends(tt.code)
			await(t, "it is logged", func() bool { return strings.Contains(second.log.String(), tt.log) })
			if log := second.log.String(); strings.Contains(log, "secret") {
				t.Errorf("the log has the query: %s", log)
			}
		})
	}
}

// TestMove_NotTakenIsServedOn by the old process, and moves in the next drain.
func TestMove_NotTakenIsServedOn(t *testing.T) {
	t.Parallel()
	first, second, addr := pair(t, echo("first"), echo("second"), WithSpread(time.Hour))
	isServedOn(t, first, second, func() *client { return dial(t, addr, "/") })
}

// isServedOn has a connection come back from a new process that takes nothing, with half a message on the way. It moves
// in the next drain.
func isServedOn(t *testing.T, first, second *played, dial func() *client) {
	t.Helper()
	first.refuses.Store(&errNotNow)
	c := dial()
	c.send(text("half")[:8])
	first.hasRead(8)
	first.leave()
	await(t, "it is back", func() bool { return strings.Contains(first.log.String(), "is not taken by the new process") })
	c.send(text("half")[8:])
	c.hears("first half")
	first.refuses.Store(nil)
	first.serveAgain()
	await(t, "it watches for the next drain", first.watches)
	first.leave()
	second.awaits(1)
	c.say("2")
	c.hears("second 2")
}

// TestMove_TakenBackWhenTheDrainIsUndone: it moves in the next drain, though no other connection comes.
func TestMove_TakenBackWhenTheDrainIsUndone(t *testing.T) {
	t.Parallel()
	first, second, addr := pair(t, echo("first"), echo("second"))
	first.refuses.Store(&errNotNow)
	first.undoes.Store(true)
	c := dial(t, addr, "/")
	first.leave()
	await(t, "the drain is undone", func() bool { return !isClosed(first.draining()) })
	first.refuses.Store(nil)
	c.say("1")
	c.hears("first 1")
	await(t, "it watches for the next drain", first.watches)
	first.leave()
	second.awaits(1)
	c.say("2")
	c.hears("second 2")
}

var errNotNow = errors.New("not now")

// TestMove_AnUndoneDrainLeavesABusyHandlerAlone: it has not moved when the old process serves again.
func TestMove_AnUndoneDrainLeavesABusyHandlerAlone(t *testing.T) {
	t.Parallel()
	works, goOn := make(chan struct{}), make(chan struct{})
	first, second, addr := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Move(r)
		_ = onMessages(w, func(l *library, message string) error {
			if message == "work" {
				close(works)
				<-goOn
			}
			return l.write("first " + message)
		})
	}), echo("second"))
	c := dial(t, addr, "/")
	c.say("work")
	<-works
	first.leave()
	await(t, "the steps are over for the others", func() bool { return strings.Contains(first.log.String(), "alone=1") })
	first.serveAgain()
	close(goOn)
	c.hears("first work")
	await(t, "it stays", first.allStay)
	c.say("2")
	c.hears("first 2")
	first.leave()
	second.awaits(1)
	c.say("3")
	c.hears("second 3")
}

// TestMove_AHandlerThatDoesNotEnd does not keep its client.
func TestMove_AHandlerThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	defer close(goOn)
	first, second, addr := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Move(r)
		l, err := upgrade(w)
		must.Do(t, err)
		_, _ = l.read()
		<-goOn
	}), echo("second"))
	c := dial(t, addr, "/")
	first.leave()
	second.awaits(1)
	c.say("1")
	c.hears("second 1")
	if log := first.log.String(); !strings.Contains(log, "does not end") {
		t.Errorf("the log says %q", log)
	}
}

// TestMove_FewHandlersAtATime are between their beginning and the answer to the handshake.
func TestMove_FewHandlersAtATime(t *testing.T) {
	t.Parallel()
	const all = handshakes + 6
	begun, goOn := make(chan struct{}, all), make(chan struct{})
	first, second, addr := pair(t, echo("first"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-goOn
		echo("second")(w, r)
	}), WithGather(0))
	for range all {
		dial(t, addr, "/")
	}
	first.leave()
	for range handshakes {
		<-begun
	}
	await(t, "all have come", func() bool { return len(first.handed()) == all })
	time.Sleep(20 * time.Millisecond) // for those that must not begin
	if n := len(begun); n > 0 {
		t.Errorf("%d more", n)
	}
	close(goOn)
	second.awaits(all)
}

// TestMove_TheProgramsReadDeadlineHolds before an attempt to move, and after one that was undone.
func TestMove_TheProgramsReadDeadlineHolds(t *testing.T) {
	t.Parallel()
	timeouts, done := make(chan error, 2), make(chan struct{})
	first, _, addr := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Move(r)
		l, err := upgrade(w)
		must.Do(t, err)
		defer close(done)
		defer l.Close()
		for range 2 {
			must.Do(t, l.SetReadDeadline(time.Now().Add(5*time.Millisecond)))
			_, err := l.Conn.Read(make([]byte, 1))
			timeouts <- err
			must.Do(t, l.SetReadDeadline(time.Time{}))
			if _, err := l.Conn.Read(make([]byte, 8)); err != nil { // in which an attempt comes and goes
				t.Error(err)
			}
		}
	}), echo("second"))
	c := dial(t, addr, "/")
	for range 2 {
		var timeout net.Error
		if err := <-timeouts; !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("the deadline ends the Read with %v", err)
		}
		first.every(func(c *conn) bool {
			if a := c.begin(); a != nil {
				c.undo(a)
			}
			return true
		})
		c.say("on")
	}
	await(t, "the handler has read all", func() bool { return isClosed(done) })
}

// TestMove_OneThatComesLateFollows: its handshake ends when the others have moved.
func TestMove_OneThatComesLateFollows(t *testing.T) {
	t.Parallel()
	begun, goOn := make(chan struct{}), make(chan struct{})
	first, second, addr := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			close(begun)
			<-goOn
		}
		echo("first")(w, r)
	}), echo("second"))
	dial(t, addr, "/")
	late := make(chan *client)
	socket := must.Get(net.Dial("tcp", addr))(t)
	go func() { late <- shake(t, socket, "/late", nil) }()
	<-begun
	first.leave()
	second.awaits(1)
	close(goOn)
	c := <-late
	second.awaits(2)
	c.say("1")
	c.hears("second 1")
}
