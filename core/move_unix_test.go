//go:build unix

package core_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestMoveKeepsConnections: 64 clients open 64 connections and keep them across all
// upgrades, whatever they ask for and however long they think between two requests.
func TestMoveKeepsConnections(t *testing.T) {
	type run struct {
		name     string
		cfg      load.Config
		upgrades int
	}
	var runs []run
	for _, k := range load.Kinds() {
		runs = append(runs, run{k.Name, k.Config, 20})
	}
	runs[0].upgrades = 100
	for _, think := range []time.Duration{5 * time.Millisecond, 100 * time.Millisecond} {
		runs = append(runs, run{"think " + think.String(), load.Config{Think: think}, 50})
	}
	for _, r := range runs {
		t.Run(r.name, func(t *testing.T) {
			a := start(t, "app")
			r.cfg.Addr, r.cfg.Clients, r.cfg.Timeout = a.expect("ready", 0).Addrs[0], 64, patience
			load := load.Start(r.cfg)
			upgradeTimes(a, r.upgrades)
			res := load.Stop()
			t.Log(res)
			if res.Failed != 0 || res.Requests == 0 || res.Connects != 64 {
				t.Errorf("%d of %d requests failed on %d connections", res.Failed, res.Requests, res.Connects)
			}
			expectAgreement(a)
		})
	}
}

// expectAgreement checks that two processes never counted the moved connections
// differently.
func expectAgreement(a *app) {
	a.t.Helper()
	if strings.Contains(a.log(), "differently") {
		a.t.Error("two processes count the moved connections differently")
	}
}

// upgrade1 upgrades the generation with this number, and waits until it is gone:
// everything has moved.
func upgrade1(a *app, gen int) {
	a.t.Helper()
	a.signal(a.expect("ready", gen).PID, syscall.SIGUSR2)
	a.expect("ready", gen+1)
	if end := a.expect("end", gen); end.Gen != gen || end.Err != "" {
		a.t.Fatalf("%+v", end)
	}
}

// TestMoveIdleAndUnused: connections that carry no request move at once, whether one
// has been on them or not, over TCP and unix sockets, and again with each upgrade.
func TestMoveIdleAndUnused(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-listen", "tcp,127.0.0.1:0", "-listen", "unix,app.sock")
	first := a.expect("ready", 0)
	var clients []*rawhttp.Client
	for range 3 {
		for _, addr := range []string{first.Addrs[0], a.dir + "/app.sock"} {
			clients = append(clients, rawhttp.Dial(t, addr))
		}
	}
	for _, c := range clients[2:] {
		c.Ask("/")
		c.Answer()
	}
	for gen := range 3 {
		upgrade1(a, gen)
		// Two pairs ask in this generation; the third stays idle.
		for _, c := range clients[:4] {
			c.Ask("/conn")
			resp := c.Answer()
			var info connInfo
			must(t, json.Unmarshal(resp.Body, &info))
			local := c.LocalAddr().String()
			if c.LocalAddr().Network() == "unix" {
				local = "@" // as net/http has it of a client without a path
			}
			if info.Remote != local || info.Context != local || info.Local != c.RemoteAddr().String() {
				t.Errorf("generation %d has %+v of %s", gen+1, info, local)
			}
			if resp.Close {
				t.Error("asked to reconnect")
			}
		}
	}
	for _, c := range clients {
		c.Ask("/")
		if resp := c.Answer(); resp.Header.Get("X-Generation") != "3" {
			t.Errorf("generation %s answers", resp.Header.Get("X-Generation"))
		}
	}
	st := getJSON[core.Ledger](t, first.Addrs[0], "/stats")
	if st.Adopted != 6 {
		t.Errorf("ledger %+v", st)
	}
	a.expectLog("ledger.moved=6", 3)
	a.expectLog(`msg="connections adopted"`, 3)
}

// TestMoveOnlyBetweenRequests: what has been read in part is answered by the process
// that has read it, and everything that plain net/http would answer is answered, in
// order.
func TestMoveOnlyBetweenRequests(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	addr := first.Addrs[0]

	half := rawhttp.Dial(t, addr)
	half.Send("GET /?d=1ms HT")
	second := rawhttp.Dial(t, addr) // half a request after a whole one
	second.Send("GET / HTTP/1.1\r\nHost: app\r\n\r\nGET / HTTP/1.1\r\nHost: a")
	second.Answer()
	line := rawhttp.Dial(t, addr) // the same, and net/http has nothing in its buffer
	line.Send("GET / HTTP/1.1\r\nHost: app\r\n\r\nGET / HTTP/1.1\r\n")
	line.Answer()
	few := rawhttp.Dial(t, addr) // the same, so little that net/http reads on
	few.Send("GET / HTTP/1.1\r\nHost: app\r\n\r\nGE")
	few.Answer()
	body := rawhttp.Dial(t, addr)
	body.Send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\n12345")
	gone := rawhttp.Dial(t, addr) // sends half a request and leaves
	gone.Send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\n12345")
	head := rawhttp.Dial(t, addr)
	head.Send("GET / HT")
	pipeline := rawhttp.Dial(t, addr)
	pipeline.Send("GET /?hold=go HTTP/1.1\r\nHost: app\r\n\r\n")
	a.expect("handling", 0)
	pipeline.Send(strings.Repeat("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\nok", 5))
	ahead := rawhttp.Dial(t, addr) // all at once
	ahead.Send(strings.Repeat("GET /?hold=go HTTP/1.1\r\nHost: app\r\n\r\n", 4))
	a.expect("handling", 1)
	garbage := rawhttp.Dial(t, addr)
	garbage.Send("GET / HTTP/1.1\r\nHost: app\r\n\r\nrubbish\r\n\r\n")
	garbage.Answer()
	// The half ones have been read.
	expectStats(t, addr, func(l core.Ledger) bool { return l.Open.Requests == 10 })

	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("ready", 1)
	a.expectLog("msg=draining", 1)
	must(t, gone.Close())
	must(t, head.Close())
	must(t, os.WriteFile(filepath.Join(a.dir, "go"), nil, 0o644))

	half.Send("TP/1.1\r\nHost: app\r\n\r\n")
	second.Send("pp\r\n\r\n")
	line.Send("Host: app\r\n\r\n")
	few.Send("T / HTTP/1.1\r\nHost: app\r\n\r\n")
	body.Send("67890")
	for name, c := range map[string]*rawhttp.Client{"half": half, "second": second, "line": line, "few": few, "body": body} {
		resp := c.Answer()
		if got := resp.Header.Get("X-Generation"); resp.StatusCode != 200 || got != "0" {
			t.Errorf("%s: %s by generation %s", name, resp.Status, got)
		}
		if name == "body" && string(resp.Body) != "1234567890" {
			t.Errorf("%s: %q", name, resp.Body)
		}
		c.Ask("/")
		if resp := c.Answer(); resp.Header.Get("X-Generation") != "1" {
			t.Errorf("%s: generation %s answers the next one", name, resp.Header.Get("X-Generation"))
		}
	}
	for range 6 {
		if resp := pipeline.Answer(); resp.StatusCode != 200 || resp.Close {
			t.Errorf("pipelined: %s, close %v", resp.Status, resp.Close)
		}
	}
	for range 4 {
		if resp := ahead.Answer(); resp.StatusCode != 200 || resp.Close {
			t.Errorf("sent ahead: %s, close %v", resp.Status, resp.Close)
		}
	}
	if resp := garbage.Answer(); resp.StatusCode != 400 {
		t.Errorf("garbage: %s", resp.Status)
	}
	rubbish := rawhttp.Dial(t, addr)
	rubbish.Send("rubbish\r\n\r\n")
	if resp := rubbish.Answer(); resp.StatusCode != 400 {
		t.Errorf("garbage: %s", resp.Status)
	}
	if end := a.expect("end", 0); end.Err != "" {
		t.Error(end.Err)
	}
	expectAgreement(a)
}

// TestMoveNotPossible: whatever keeps connections from moving, they stay with the old
// process, which answers once more and asks the client to come back.
func TestMoveNotPossible(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ flag, mode string }{
		"switched off in the old process": {flag: "-handoff=false"},
		"switched off in the new process": {mode: "nohandoff"},
		"another net/http in the new one": {mode: "oldgo"},
		"connections are wrapped":         {flag: "-wrap"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var args []string
			if c.flag != "" {
				args = append(args, c.flag)
			}
			a := start(t, "app", args...)
			first := a.expect("ready", 0)
			a.setMode(c.mode)
			cl := rawhttp.Dial(t, first.Addrs[0])
			cl.Ask("/")
			cl.Answer()
			a.signal(first.PID, syscall.SIGUSR2)
			a.expect("ready", 1)
			a.expectLog("msg=draining", 1)
			stays(t, cl, cl.Reader)
			cl.Ask("/")
			if resp := cl.Answer(); resp.Header.Get("X-Generation") != "0" || !resp.Close {
				t.Errorf("generation %s answers, close %v", resp.Header.Get("X-Generation"), resp.Close)
			}
			a.expect("end", 0)
			a.expectLog("ledger.moved=0", 1)
		})
	}
}

// TestMoveWithFewDescriptors: the new process takes what it has room for, keeps some
// for new connections, and the rest stays with the old one; nobody is lost.
func TestMoveWithFewDescriptors(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	a.setMode("fewfiles")
	var clients []*rawhttp.Client
	for range 100 {
		c := rawhttp.Dial(t, first.Addrs[0])
		c.Ask("/")
		c.Answer()
		clients = append(clients, c)
	}
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("ready", 1)
	a.expectLog("msg=draining", 1) // before, nobody is asked to leave
	by := map[string]int{}
	for _, c := range clients {
		c.Ask("/")
		resp := c.Answer()
		if resp.Header.Get("X-Generation") == "0" && !resp.Close { // before it could offer itself
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
	if _, err := get(first.Addrs[0], "/"); err != nil {
		t.Errorf("a new connection: %v", err)
	}
	a.expect("end", 0)
	a.expectLog(fmt.Sprintf("ledger.moved=%d ledger.refused=%d", by["1"], by["0"]), 1)
	expectAgreement(a)
}

// TestMoveKilled: the new process is killed while it takes connections over. What it
// has not acknowledged is still served by the old one.
func TestMoveKilled(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	a.setMode("dieadopting")
	const conns = 4 * fd.MaxFiles
	var clients []*rawhttp.Client
	for range conns {
		c := rawhttp.Dial(t, first.Addrs[0])
		c.Ask("/")
		c.Answer()
		clients = append(clients, c)
	}
	a.signal(first.PID, syscall.SIGUSR2)
	a.expectLog("no more connections are moved", 1)
	a.expectLog("this process serves again", 1)
	served := 0
	var last core.Ledger
	for _, c := range clients {
		c.Ask("/stats")
		resp, err := http.ReadResponse(c.Reader, nil)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
			continue // it went down with the new process
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

// TestMoveOfTheGone: a client that has gone while its connection was parked reaches
// neither a handler nor the program's ConnState.
func TestMoveOfTheGone(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	addr := a.expect("ready", 0).Addrs[0]
	c, stay := rawhttp.Dial(t, addr), rawhttp.Dial(t, addr)
	for _, c := range []*rawhttp.Client{c, stay} {
		c.Ask("/")
		c.Answer()
	}
	upgrade1(a, 0)
	must(t, c.Close())
	expectStats(t, addr, func(l core.Ledger) bool { return l.Open.Connections <= 2 })
	before := getJSON[connInfo](t, addr, "/conn").States
	stay.Ask("/conn")
	var info connInfo
	must(t, json.Unmarshal(stay.Answer().Body, &info))
	if info.States["new"] != before["new"]+1 {
		t.Errorf("ConnState was told of %d new connections, before the one that asks of %d", info.States["new"], before["new"])
	}
}

// TestHandoff: a hijacked connection moves by the program's own word, with what the
// program says along, and stays when nobody takes it.
func TestHandoff(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	addr := a.expect("ready", 0).Addrs[0]
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
