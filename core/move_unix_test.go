//go:build unix

package core_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

func TestMove_KeepsConnections(t *testing.T) {
	t.Parallel()
	kept := func(name string, cfg load.Config, upgrades int) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, first := serving(t)
			cfg.Addr, cfg.Clients, cfg.Timeout = first.Addrs[0], 64, patience
			run := load.Start(cfg)
			upgradeTimes(a, proctest.Times(upgrades))
			if res := expectLossless(t, run); res.Connects != 64 {
				t.Errorf("%d connections, want 64", res.Connects)
			}
			expectAgreement(a)
		})
	}
	kept("post", load.Kinds()[0].Config, 100)
	for _, k := range load.Kinds()[1:] {
		kept(k.Name, k.Config, 20)
	}
	kept("think 5ms", load.Config{Think: 5 * time.Millisecond}, 50)
	kept("think 100ms", load.Config{Think: 100 * time.Millisecond}, 50)
}

// TestMove_FromAProcessThatStoodStill: the new process has ended, too, and the connections of the old one find the way to
// the one that serves.
func TestMove_FromAProcessThatStoodStill(t *testing.T) {
	t.Parallel()
	a, first := serving(t)
	run := load.Start(load.Config{Addr: first.Addrs[0], Clients: 64, BodySize: 1 << 18, Timeout: patience})
	proctest.Await(t, "every client has connected", func() bool { return run.Snapshot().Connects == 64 })
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("ready", 1)
	a.Freeze(first.PID)
	upgradeFrom(a, 1, 5)
	must(t, a.Thaw(first.PID))
	a.endsWell(0)
	if res := expectLossless(t, run); res.Connects != 64 {
		t.Errorf("%d connections, want 64", res.Connects)
	}
}

// expectAgreement checks that two processes never counted the moved connections differently.
func expectAgreement(a *app) {
	a.t.Helper()
	if strings.Contains(a.log(), "differently") {
		a.t.Error("two processes count the moved connections differently")
	}
}

// upgrade1 upgrades the generation with this number, and waits until it is gone: everything has moved.
func upgrade1(a *app, gen int) {
	a.t.Helper()
	a.next(a.expect("ready", gen))
	if end := a.endsWell(gen); end.Gen != gen {
		a.t.Fatalf("%+v", end)
	}
}

// upgradeWithARollback upgrades an app again and again, and in the middle to a version that is rejected. goesOn is called
// before, and after each: the old process has gone then, because all that it had has moved.
func (a *app) upgradeWithARollback(current event, upgrades int, goesOn func()) {
	a.t.Helper()
	goesOn()
	ready := 0
	for i := range upgrades {
		if i == upgrades/2 {
			a.setMode("rejects")
			ready++
			a.next(current)
			a.expectLog("this process serves again", 1)
			a.setMode("")
			goesOn()
		}
		ready++
		a.signal(current.PID, syscall.SIGUSR2)
		ended := fmt.Sprintf(`msg="generation ended" generation=%d own_pid=%d `, i, current.PID)
		current = a.expect("ready", ready)
		a.expectLog(ended, 1)
		goesOn()
	}
}

// answeredBy reads the next answer, and checks which generation has given it.
func answeredBy(t testing.TB, c *rawhttp.Client, generation int) rawhttp.Reply {
	t.Helper()
	resp := c.Answer()
	if got := resp.Header.Get("X-Generation"); got != itoa(generation) {
		t.Errorf("generation %s answers, want %d", got, generation)
	}
	return resp
}

// connOf asks for what the server knows of the connection.
func connOf(t testing.TB, c *rawhttp.Client) (info connInfo, closes bool) {
	t.Helper()
	c.Ask("/conn")
	resp := c.Answer()
	must(t, json.Unmarshal(resp.Body, &info))
	return info, resp.Close
}

// TestMove_IdleAndUnusedOnesMoveAtOnce has listeners of which two were opened with the same words.
func TestMove_IdleAndUnusedOnesMoveAtOnce(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-hooks", "-listen", "tcp,127.0.0.1:0", "-listen", "tcp,127.0.0.1:0", "-listen", "unix,app.sock")
	var clients []*rawhttp.Client
	addrs := []string{first.Addrs[0], first.Addrs[1], a.path("app.sock")}
	for _, addr := range addrs {
		clients = append(clients, rawhttp.Dial(t, addr))
	}
	for _, addr := range slices.Repeat(addrs, 2) {
		clients = append(clients, answered(t, addr, "/"))
	}
	for gen := range 3 {
		upgrade1(a, gen)
		// Two of each three ask in this generation; the others stay idle.
		for i, c := range clients[:6] {
			info, closes := connOf(t, c)
			if info.Server != i%3 {
				t.Errorf("server %d answers, not %d", info.Server, i%3)
			}
			local := c.LocalAddr().String()
			if c.LocalAddr().Network() == "unix" {
				local = "@" // as net/http has it of a client without a path
			}
			if info.Remote != local || info.Context != local || info.Local != c.RemoteAddr().String() {
				t.Errorf("generation %d has %+v of %s", gen+1, info, local)
			}
			if closes {
				t.Error("asked to reconnect")
			}
		}
	}
	for _, c := range clients {
		c.Ask("/")
		answeredBy(t, c, 3)
	}
	if st := getJSON[core.Ledger](t, first.Addrs[0], "/stats"); st.Adopted != 9 {
		t.Errorf("ledger %+v", st)
	}
	a.expectLog("ledger.moved=9", 3)
	a.expectLog(`msg="connections adopted"`, 3)

	// Neither a handler nor the program's ConnState learns of a client that goes while its connection is parked.
	upgrade1(a, 3)
	must(t, clients[0].Close())
	expectStats(t, first.Addrs[0], func(l core.Ledger) bool { return l.Open.Connections <= len(clients) })
	before := getJSON[connInfo](t, first.Addrs[0], "/conn").States["new"]
	if info, _ := connOf(t, clients[3]); info.States["new"] != before+1 {
		t.Errorf("ConnState was told of %d new connections, before the one that asks of %d", info.States["new"], before)
	}
}

// TestMove_OnlyBetweenRequests has the process that has read a part of a request answer it. Everything that plain
// net/http would answer is answered, in order.
func TestMove_OnlyBetweenRequests(t *testing.T) {
	t.Parallel()
	a, first := serving(t)
	addr := first.Addrs[0]
	const (
		whole = "GET / HTTP/1.1\r\nHost: app\r\n\r\n"
		post  = "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\n"
	)
	sent := func(s string) *rawhttp.Client {
		t.Helper()
		c := rawhttp.Dial(t, addr)
		c.Send(s)
		if strings.HasPrefix(s, whole) {
			c.Answer()
		}
		return c
	}
	parts := []struct {
		begin, rest, body string
		c                 *rawhttp.Client
	}{
		{begin: "GET /?d=1ms HT", rest: "TP/1.1\r\nHost: app\r\n\r\n"},
		{begin: whole + "GET / HTTP/1.1\r\nHost: a", rest: "pp\r\n\r\n"},
		{begin: whole + "GET / HTTP/1.1\r\n", rest: "Host: app\r\n\r\n"}, // net/http has nothing in its buffer
		{begin: whole + "GE", rest: "T / HTTP/1.1\r\nHost: app\r\n\r\n"}, // so little that net/http reads on
		{begin: post + "12345", rest: "67890", body: "1234567890"},
	}
	for i := range parts {
		parts[i].c = sent(parts[i].begin)
	}
	leave := []*rawhttp.Client{sent(post + "12345"), sent("GET / HT")}
	pipeline := sent("GET /?hold=go HTTP/1.1\r\nHost: app\r\n\r\n")
	a.expect("handling", 0)
	pipeline.Send(strings.Repeat("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\nok", 5))
	ahead := sent(strings.Repeat("GET /?hold=go HTTP/1.1\r\nHost: app\r\n\r\n", 4))
	a.expect("handling", 1)
	garbage := sent(whole + "rubbish\r\n\r\n")
	sent("OPTIONS * HTTP/1.1\r\nHost: app\r\n\r\n").Answer() // by net/http, and no handler sees it
	// The half ones have been read.
	expectStats(t, addr, func(l core.Ledger) bool { return l.Open.Requests == 10 })

	a.next(first)
	a.expectLog("msg=draining", 1)
	for _, c := range leave {
		must(t, c.Close())
	}
	a.write("go", "")
	for _, p := range parts {
		p.c.Send(p.rest)
	}
	for _, p := range parts {
		if resp := answeredBy(t, p.c, 0); resp.StatusCode != 200 || string(resp.Body) != p.body {
			t.Errorf("%q: %s, %q", p.begin, resp.Status, resp.Body)
		}
		for by := "0"; by == "0"; { // until its turn to move has come
			p.c.Ask("/")
			resp := p.c.Answer()
			if by = resp.Header.Get("X-Generation"); by == "0" && resp.Close {
				t.Fatal("the client is asked to leave")
			}
		}
	}
	for c, n := range map[*rawhttp.Client]int{pipeline: 6, ahead: 4} {
		for range n {
			if resp := c.Answer(); resp.StatusCode != 200 || resp.Close {
				t.Errorf("one of %d sent at once: %s, close %v", n, resp.Status, resp.Close)
			}
		}
	}
	for _, c := range []*rawhttp.Client{garbage, sent("rubbish\r\n\r\n")} {
		if resp := c.Answer(); resp.StatusCode != 400 {
			t.Errorf("garbage: %s", resp.Status)
		}
	}
	a.endsWell(0)
	expectAgreement(a)
}

func TestMove_ImpossibleAsksTheClientToComeBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ flag, mode string }{
		"switched off in the old process": {flag: "-handoff=false"},
		"switched off in the new process": {mode: "nohandoff"},
		"another net/http in the new one": {mode: "oldgo"},
		"connections are wrapped":         {flag: "-wrap"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, first := serving(t, strings.Fields(c.flag)...)
			a.setMode(c.mode)
			cl := answered(t, first.Addrs[0], "/")
			a.next(first)
			a.expectLog("msg=draining", 1)
			stays(t, cl, cl.Reader)
			cl.Ask("/")
			if resp := answeredBy(t, cl, 0); !resp.Close {
				t.Error("not asked to come back")
			}
			a.expect("end", 0)
			a.expectLog("ledger.moved=0", 1)
		})
	}
}

// TestMove_TakesWhatThereAreDescriptorsFor leaves some for new connections. The other connections stay.
func TestMove_TakesWhatThereAreDescriptorsFor(t *testing.T) {
	t.Parallel()
	a, first := serving(t)
	a.setMode("fewfiles")
	var clients []*rawhttp.Client
	for range 100 {
		clients = append(clients, answered(t, first.Addrs[0], "/"))
	}
	a.next(first)
	a.expectLog("msg=draining", 1) // before, nobody is asked to leave
	by := map[string]int{}
	for _, c := range clients {
		c.Ask("/")
		resp := c.Answer()
		for resp.Header.Get("X-Generation") == "0" && !resp.Close { // its turn to offer itself has not come
			c.Ask("/")
			resp = c.Answer()
		}
		by[resp.Header.Get("X-Generation")]++
		if stayed := resp.Header.Get("X-Generation") == "0"; stayed != resp.Close {
			t.Errorf("generation %s answers, close %v", resp.Header.Get("X-Generation"), resp.Close)
		}
	}
	if by["1"] == 0 || by["1"] > 20 || by["0"]+by["1"] != len(clients) {
		t.Errorf("answers by generation: %v", by)
	}
	expectAnswers(t, first.Addrs[0]) // on a new connection
	a.expect("end", 0)
	a.expectLog(fmt.Sprintf("ledger.moved=%d ledger.refused=%d", by["1"], by["0"]), 1)
	expectAgreement(a)
}

// isGone reports whether the other end of a connection has ended. Minutes later also a write says so: the client's
// keep-alive has found nobody.
func isGone(err error) bool {
	return slices.ContainsFunc([]error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE}, func(gone error) bool {
		return errors.Is(err, gone)
	})
}

// TestMove_UnacknowledgedOnesAreServed kills the new process while it takes connections over.
func TestMove_UnacknowledgedOnesAreServed(t *testing.T) {
	t.Parallel()
	a, first := serving(t)
	a.setMode("dieadopting")
	const conns = 4 * fd.MaxFiles
	var clients []*rawhttp.Client
	for range conns {
		clients = append(clients, answered(t, first.Addrs[0], "/"))
	}
	a.signal(first.PID, syscall.SIGUSR2)
	a.expectLog("this process serves again", 1) // whether it notices by an offer or by the end of the process
	served := 0
	var last core.Ledger
	for _, c := range clients {
		must(t, c.SetDeadline(time.Now().Add(patience)))
		_, err := io.WriteString(c, "GET /stats HTTP/1.1\r\nHost: app\r\n\r\n")
		var resp *http.Response
		if err == nil {
			resp, err = http.ReadResponse(c.Reader, nil)
		}
		if isGone(err) { // it went down with the new process
			continue
		}
		must(t, err)
		must(t, json.NewDecoder(resp.Body).Decode(&last))
		if resp.Close || last.Generation != 0 {
			t.Errorf("generation %d answers, close %v", last.Generation, resp.Close)
		}
		served++
	}
	if moved := int(last.Moved); served != conns-moved || moved == 0 || moved > conns-fd.MaxFiles {
		t.Errorf("%d of %d moved, %d are served by the old process", moved, conns, served)
	}
}

// TestMove_NextRequestIsTheNextGenerations but for what net/http was about to read when the drain began.
func TestMove_NextRequestIsTheNextGenerations(t *testing.T) {
	t.Parallel()
	a, first := serving(t)
	c := rawhttp.Dial(t, first.Addrs[0])
	c.Ask("/?d=200ms")
	a.expect("handling", 0)
	a.next(first)
	a.expectLog("msg=draining", 1)
	c.Ask("/?d=300ms")
	c.Answer()
	a.expect("handling", 1)
	c.Ask("/")
	c.Answer()
	answeredBy(t, c, 1)
}

// TestMove_BesideHTTP2 moves connections of which nobody knows yet that they are not HTTP/2. HTTP/2 moves when its
// request has been answered, whatever the size of its frames.
func TestMove_BesideHTTP2(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-h2c", "-listen", "tcp,127.0.0.1:0", "-listen", "unix,app.sock")
	addr := first.Addrs[0]
	unused, used := rawhttp.Dial(t, addr), answered(t, addr, "/")
	nc, err := net.Dial("unix", a.path("app.sock"))
	must(t, err)
	unix := rawhttp.GreetHTTP2(t, nc, nil)
	h2, idle := rawhttp.DialHTTP2(t, addr, nil), rawhttp.DialHTTP2(t, addr, nil)
	h2.Open(1)
	h2.Send(1, "123")
	expectStats(t, addr, func(l core.Ledger) bool { return l.Open.Connections >= 6 && l.Open.Requests >= 2 })
	a.next(first)
	a.expectLog("msg=draining", 1)
	for _, c := range "45678" {
		h2.Send(1, string(c))
	}
	h2.End(1, "9")
	h2.Answered(1) // which no GOAWAY comes before
	a.endsWell(0)
	all := []*rawhttp.HTTP2{h2, idle, unix}
	for _, c := range all {
		c.Ask(3)
		c.Answered(3)
	}
	for _, c := range []*rawhttp.Client{unused, used} {
		c.Ask("/")
		answeredBy(t, c, 1)
	}
	a.expectLog("ledger.moved_http2=3", 1)
	if st := getJSON[core.Ledger](t, addr, "/stats"); st.Adopted != 5 {
		t.Errorf("ledger %+v", st)
	}
	upgrade1(a, 1)
	for _, c := range all {
		c.Ask(5)
		c.Answered(5)
	}
}

// TestMove_UnknownRequestDoesNotCountForEver has a request that can't be followed to its connection.
func TestMove_UnknownRequestDoesNotCountForEver(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-forget")
	answered(t, first.Addrs[0], "/")
	a.next(first)
	a.endsWell(0)
}

// TestMove_EndlessPipelineIsAskedToLeave near the deadline. Its client has always more on the way than net/http's
// buffer holds, and seldom comes to where it could move.
func TestMove_EndlessPipelineIsAskedToLeave(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-drain", "3s")
	c := rawhttp.Dial(t, first.Addrs[0])
	request := "GET /?d=1ms HTTP/1.1\r\nHost: app\r\nX-Pad: " + strings.Repeat("x", 1000) + "\r\n\r\n"
	c.Send(strings.Repeat(request, 20))
	a.signal(first.PID, syscall.SIGUSR2)
	for {
		// What is on the way when the last answer comes makes a reset of the close.
		resp, err := http.ReadResponse(c.Reader, nil)
		if err != nil {
			break
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		if resp.Close || resp.Header.Get("X-Generation") != "0" {
			break
		}
		if _, err := io.WriteString(c, request); err != nil {
			break
		}
	}
	a.endsWell(0)
}

// TestMove_NotToAGenerationWhoseDrainIsOver has the one before it serve the connection.
func TestMove_NotToAGenerationWhoseDrainIsOver(t *testing.T) {
	t.Parallel()
	a, first := serving(t)
	a.write("drain", "100ms")
	c := rawhttp.Dial(t, first.Addrs[0])
	c.Ask("/?d=1s")
	a.expect("handling", 0)
	a.next(a.next(first))
	c.Answer()
	c.Ask("/")
	if resp := c.Answer(); resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
}

// TestHandoff_MovesAHijackedConnection with what the program says along. It stays when nobody takes it.
func TestHandoff_MovesAHijackedConnection(t *testing.T) {
	t.Parallel()
	a, first := serving(t)
	addr := first.Addrs[0]
	moves, unknown := rawhttp.Dial(t, addr), rawhttp.Dial(t, addr)
	for c, name := range map[*rawhttp.Client]string{moves: "echo", unknown: "unheard of"} {
		c.Ask("/hijack?handoff=" + strings.ReplaceAll(name, " ", "+"))
		if resp := c.Answer(); resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(resp.Status)
		}
	}
	for gen := range 3 {
		moves.Send("\n")
		if line, err := moves.Reader.ReadString('\n'); err != nil || line != fmt.Sprintf("generation %d\n", gen) {
			t.Errorf("%q, %v", line, err)
		}
		upgrade1(a, gen)
		if gen == 0 {
			line, err := unknown.Reader.ReadString('\n')
			if err != nil || !strings.Contains(line, "stays in this process") || !strings.Contains(line, "no OnHandoff") {
				t.Errorf("%q, %v", line, err)
			}
		}
	}
	expectAgreement(a)
}
