//go:build unix

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/gracex-go/gracex/examples/internal/exampletest"
	"github.com/gracex-go/gracex/internal/must"
)

const (
	talkers  = 16
	upgrades = 20
)

// Everybody hears everything once and in order, over the connection that they began
// with, through all upgrades; also those who come and go meanwhile.
func TestClientsStayConnected(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t)
	clients := gather(t, p)
	quit := make(chan struct{})
	stopTalking := sync.OnceFunc(func() { close(quit) })
	defer stopTalking()
	var failed atomic.Bool
	var talk, visits sync.WaitGroup
	for _, c := range clients {
		talk.Go(func() {
			if err := c.chat(quit, talkers); err != nil {
				t.Errorf("%s: %v", c.nick, err)
				failed.Store(true)
			}
		})
	}
	visitors := 0
	visits.Go(func() {
		for ; !failed.Load(); visitors++ {
			select {
			case <-quit:
				return
			default:
			}
			if err := visit(t, p, visitors+1); err != nil {
				t.Errorf("visitor %d: %v", visitors+1, err)
				failed.Store(true)
			}
		}
	})

	pids := map[int]bool{p.PID(): true}
	for i := range upgrades {
		p.Upgrade([]syscall.Signal{syscall.SIGUSR2, syscall.SIGHUP}[i%2])
		pids[p.PID()] = true
		if i%2 == 0 {
			continue // the next one comes while the clients move
		}
		for _, c := range clients {
			goal := c.count.Load() + 2*talkers
			p.Await(c.nick+" hears more", func() bool { return c.count.Load() >= goal || failed.Load() })
		}
	}
	stopTalking()
	visits.Wait()
	talk.Wait()
	if len(pids) != upgrades+1 {
		t.Errorf("%d processes after %d upgrades", len(pids), upgrades)
	}
	if c, err := dial(t, p, "late"); err != nil {
		t.Error(err)
	} else {
		c.conn.Close()
		if want := greeting("late", p.PID(), upgrades); c.greeting != want {
			t.Errorf("%q, want %q", c.greeting, want)
		}
	}
	if failed.Load() {
		return
	}

	terminate(t, p, clients)
	for _, c := range clients {
		if c.heard["visitor"] != visitors {
			t.Errorf("%s heard %d visitors of %d", c.nick, c.heard["visitor"], visitors)
		}
	}
	if p.Log.Count("dropped")+p.Log.Count("level=ERROR") > 0 {
		t.Error("the log has complaints")
	}
	t.Logf("each client heard %d messages, %d of them from visitors", clients[0].count.Load(), visitors)
}

// gather fills the room. All have joined before the first one talks.
func gather(t *testing.T, p *exampletest.Program) []*client {
	t.Helper()
	var clients []*client
	for i := range talkers {
		c := must.Get(dial(t, p, "talker"+strconv.Itoa(i)))(t)
		t.Cleanup(func() { c.conn.Close() })
		if want := greeting(c.nick, p.PID(), 0); c.greeting != want {
			t.Fatalf("%q, want %q", c.greeting, want)
		}
		clients = append(clients, c)
	}
	return clients
}

// visit says a number and leaves politely.
func visit(t *testing.T, p *exampletest.Program, n int) error {
	c, err := dial(t, p, "visitor")
	if err != nil {
		return err
	}
	defer c.conn.Close()
	if err := c.say(n, strconv.Itoa(n)); err != nil {
		return err
	}
	own := fmt.Sprintf("visitor: %d", n)
	for message := ""; message != own; {
		if message, err = c.read(); err != nil {
			return err
		}
		if strings.HasPrefix(message, "visitor: ") && message != own {
			return fmt.Errorf("%q was said before it came", message)
		}
	}
	if _, err := c.conn.Write(masked(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))); err != nil {
		return err
	}
	for err == nil {
		_, err = c.read()
	}
	if closed := (wsutil.ClosedError{}); !errors.As(err, &closed) || closed.Code != ws.StatusNormalClosure {
		return fmt.Errorf("answer to the close frame: %w", err)
	}
	return nil
}

// terminate stops the service; all clients hear the same to the end, and then get a close frame.
func terminate(t *testing.T, p *exampletest.Program, clients []*client) {
	t.Helper()
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() {
			var err error
			for err == nil {
				_, _, err = c.hear()
			}
			goodbye(t, c, err)
		})
	}
	p.Stop()
	wg.Wait()
	agree(t, clients)
}

func goodbye(t *testing.T, c *client, err error) {
	t.Helper()
	if closed := (wsutil.ClosedError{}); !errors.As(err, &closed) || closed.Code != ws.StatusGoingAway {
		t.Errorf("%s: %v, want a close frame with status %d", c.nick, err, ws.StatusGoingAway)
	}
	c.conn.Close()
}

func agree(t *testing.T, clients []*client) {
	t.Helper()
	for _, c := range clients {
		if c.order.Sum64() != clients[0].order.Sum64() {
			t.Errorf("%s has not heard what %s has", c.nick, clients[0].nick)
		}
	}
}

// Who is in full flow when the service stops hears everything that anybody heard, and a close frame.
func TestStopSaysGoodbye(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t)
	clients := gather(t, p)
	var talk sync.WaitGroup
	for _, c := range clients {
		talk.Go(func() { goodbye(t, c, c.chat(nil, talkers)) })
	}
	for _, c := range clients {
		p.Await(c.nick+" hears others", func() bool { return c.count.Load() > talkers })
	}
	p.Stop()
	talk.Wait()
	agree(t, clients)
}

// A client that has not read for a while keeps nobody from moving, and follows when it
// has read what the old process has for it.
func TestSlowClientMovesLater(t *testing.T) {
	t.Parallel()
	const flood = 2000 // messages: 6 MB, more than the kernel keeps of them (tcp_wmem, tcp(7))
	p := exampletest.Start(t)
	slow := must.Get(dial(t, p, "slow"))(t)
	defer slow.conn.Close()
	must.Do(t, slow.conn.(*net.TCPConn).SetReadBuffer(64<<10))
	fast := must.Get(dial(t, p, "fast"))(t)
	defer fast.conn.Close()
	talk := func(n int) {
		t.Helper()
		for i := range n {
			must.Do(t, fast.say(2, fmt.Sprintf("%-3000d", fast.heard["fast"]+1)))
			if _, _, err := fast.hear(); err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
		}
	}
	old := fmt.Sprintf("msg=\"generation ended\" generation=0 own_pid=%d", p.PID())
	talk(flood)
	p.Upgrade(syscall.SIGUSR2)
	talk(batch) // with the new process, or it would get no answer
	waited := p.Log.Count(old) == 0
	for slow.heard["fast"] < flood+batch {
		if _, _, err := slow.hear(); err != nil {
			t.Fatal(err)
		}
	}
	p.AwaitLog(old, 1)
	terminate(t, p, []*client{slow, fast})
	if !waited {
		t.Skip("the old process did not have to wait: the buffers of this system hold more")
	}
}

// Messages of which the old process has read a part, from the packet of the handshake
// on, with an upgrade between each two parts.
func TestHalfMessagesMove(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t)
	bob := must.Get(dial(t, p, "bob"))(t)
	defer bob.conn.Close()

	conn := must.Get(net.Dial("tcp", p.Addr))(t)
	defer conn.Close()
	stream := []byte("GET /?nick=ann HTTP/1.1\r\nHost: " + p.Addr + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	stream = append(stream, masked(ws.NewTextFrame([]byte("1")))...)
	stream = append(stream, masked(ws.NewTextFrame([]byte("2")))...)
	cuts := []int{len(stream) - 3} // in the second message
	stream = append(stream, masked(ws.NewFrame(ws.OpText, false, []byte("3 ")))...)
	cuts = append(cuts, len(stream)) // between two fragments
	stream = append(stream, masked(ws.NewPingFrame([]byte("ping")))...)
	stream = append(stream, masked(ws.NewFrame(ws.OpContinuation, false, []byte("la")))...)
	cuts = append(cuts, len(stream)-1) // in the payload of a fragment
	stream = append(stream, masked(ws.NewFrame(ws.OpContinuation, true, []byte("st")))...)
	cuts = append(cuts, len(stream)-7) // in the header of a fragment

	written := 0
	for i, cut := range append(cuts, len(stream)) {
		must.Get(conn.Write(stream[written:cut]))(t)
		written = cut
		if i == 0 { // she has joined before the process changes
			if text, err := bob.read(); text != "ann: 1" {
				t.Fatalf("%q, %v", text, err)
			}
		}
		if i < len(cuts) {
			p.Upgrade(syscall.SIGUSR2)
			moved := fmt.Sprintf("generation=%d own_pid=%d old_pid=", i+1, p.PID())
			p.Await("both connections are adopted", func() bool { return adopted(p.Log.String(), moved) == 2 })
		}
	}
	for _, want := range []string{"ann: 2", "ann: 3 last"} {
		if text, err := bob.read(); text != want {
			t.Errorf("%q, %v; want %q", text, err, want)
		}
	}

	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	ann, pongs := newClient("ann", conn, in), 0
	frames := wsutil.NewClientSideReader(in)
	conn.SetReadDeadline(time.Now().Add(patience))
	for want := []string{greeting("ann", p.Cmd.Process.Pid, 0), "ann: 1", "ann: 2", "ann: 3 last"}; len(want) > 0; {
		head := must.Get(frames.NextFrame())(t)
		payload, err := io.ReadAll(frames)
		switch {
		case err != nil:
			t.Fatal(err)
		case head.OpCode == ws.OpPong && string(payload) == "ping":
			pongs++
		case head.OpCode == ws.OpText && string(payload) == want[0]:
			want = want[1:]
		default:
			t.Fatalf("%+v %q, want %q", head, payload, want[0])
		}
	}
	if pongs == 0 {
		t.Error("the ping was not answered")
	}
	terminate(t, p, []*client{bob, ann})
}

// adopted finds the line that says how many connections a process has taken over.
func adopted(log, process string) int {
	for line := range strings.Lines(log) {
		if strings.Contains(line, "connections adopted") && strings.Contains(line, process) {
			_, count, _ := strings.Cut(strings.TrimSpace(line), "count=")
			n, _ := strconv.Atoi(count)
			return n
		}
	}
	return 0
}

// What is no WebSocket, or not allowed, is told so and closed.
func TestRefusals(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t)
	for target, status := range map[string]int{
		"/":                                 http.StatusBadRequest,
		"/?nick=" + strings.Repeat("n", 33): http.StatusBadRequest,
		"/?nick=%ff":                        http.StatusBadRequest,
	} {
		if a := p.Ask(http.MethodGet, target, ""); a.Status != status {
			t.Errorf("%s: %d, want %d", target, a.Status, status)
		}
	}
	for _, tt := range []struct {
		name  string
		frame []byte
		code  ws.StatusCode
	}{
		{"binary", masked(ws.NewBinaryFrame([]byte("x"))), ws.StatusUnsupportedData},
		{"too big", masked(ws.NewTextFrame(make([]byte, maxMessage))), ws.StatusMessageTooBig},
		{"not UTF-8", masked(ws.NewTextFrame([]byte{0xff})), ws.StatusInvalidFramePayloadData},
		{"unmasked", ws.MustCompileFrame(ws.NewTextFrame([]byte("x"))), ws.StatusProtocolError},
		{"bad status", masked(ws.NewCloseFrame(ws.NewCloseFrameBody(999, ""))), ws.StatusProtocolError},
	} {
		c := must.Get(dial(t, p, "somebody"))(t)
		c.conn.Write(tt.frame)
		_, err := c.read()
		if closed := (wsutil.ClosedError{}); !errors.As(err, &closed) || closed.Code != tt.code {
			t.Errorf("%s: %v, want status %d", tt.name, err, tt.code)
		}
		c.conn.Close()
	}
}
