//go:build unix

package core_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestMoveLeavesTheNextByte: what a client sends while its request is answered in a
// generation that drains is for the next one, which answers it. Only what net/http
// was about to read already when the drain began stays.
func TestMoveLeavesTheNextByte(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	c := rawhttp.Dial(t, first.Addrs[0])
	c.Ask("/?d=200ms")
	a.expect("handling", 0)
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("ready", 1)
	a.expectLog("msg=draining", 1)
	c.Ask("/?d=300ms")
	c.Answer()
	a.expect("handling", 1)
	c.Ask("/")
	c.Answer()
	if resp := c.Answer(); resp.Header.Get("X-Generation") != "1" {
		t.Errorf("generation %s answers", resp.Header.Get("X-Generation"))
	}
}

// TestMoveBesideHTTP2: a server that speaks HTTP/2 without TLS, too. Its unused
// connections move, once; those that speak HTTP/1 move; HTTP/2 goes on to its end,
// whatever the size of its frames.
func TestMoveBesideHTTP2(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-h2c")
	first := a.expect("ready", 0)
	addr := first.Addrs[0]
	unused, used := rawhttp.Dial(t, addr), rawhttp.Dial(t, addr)
	used.Ask("/")
	used.Answer()
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	body, w := io.Pipe()
	answered := make(chan error, 1)
	go func() {
		resp, err := (&http.Client{Transport: tr}).Post("http://"+addr+"/", "text/plain", body)
		if err == nil {
			b, rerr := io.ReadAll(resp.Body)
			if err = rerr; string(b) != "123456789" || resp.ProtoMajor != 2 {
				err = fmt.Errorf("%s, %q, %w", resp.Proto, b, rerr)
			}
		}
		answered <- err
	}()
	_, err := io.WriteString(w, "123")
	must(t, err)
	expectStats(t, addr, func(l core.Ledger) bool { return l.Open.Connections >= 4 && l.Open.Requests >= 2 })
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("ready", 1)
	for _, c := range "456789" { // a frame each
		_, err := io.WriteString(w, string(c))
		must(t, err)
	}
	must(t, w.Close())
	must(t, <-answered)
	tr.CloseIdleConnections()
	a.expect("end", 0)
	for _, c := range []*rawhttp.Client{unused, used} {
		c.Ask("/")
		if resp := c.Answer(); resp.Header.Get("X-Generation") != "1" {
			t.Errorf("generation %s answers", resp.Header.Get("X-Generation"))
		}
	}
	if st := getJSON[core.Ledger](t, addr, "/stats"); st.Adopted != 2 {
		t.Errorf("ledger %+v", st)
	}
}

// TestMoveUnseenRequests: a request that the program's handler does not see, or that
// can't be followed to its connection, does not count as one for ever.
func TestMoveUnseenRequests(t *testing.T) {
	t.Parallel()
	for flag, request := range map[string]string{
		"-forget=false": "OPTIONS * HTTP/1.1\r\nHost: app\r\n\r\n", // net/http answers
		"-forget":       "GET / HTTP/1.1\r\nHost: app\r\n\r\n",
	} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			a := start(t, "app", flag)
			first := a.expect("ready", 0)
			c := rawhttp.Dial(t, first.Addrs[0])
			c.Send(request)
			c.Answer()
			a.signal(first.PID, syscall.SIGUSR2)
			a.expect("ready", 1)
			if end := a.expect("end", 0); end.Err != "" {
				t.Error(end.Err)
			}
		})
	}
}

// TestMoveToTheSameServer: two listeners that were opened with the same words.
func TestMoveToTheSameServer(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-listen", "tcp,127.0.0.1:0", "-listen", "tcp,127.0.0.1:0")
	first := a.expect("ready", 0)
	clients := []*rawhttp.Client{rawhttp.Dial(t, first.Addrs[0]), rawhttp.Dial(t, first.Addrs[1])}
	upgrade1(a, 0)
	for i, c := range clients {
		c.Ask("/conn")
		var info connInfo
		must(t, json.Unmarshal(c.Answer().Body, &info))
		if info.Server != i {
			t.Errorf("server %d answers, not %d", info.Server, i)
		}
	}
}

// TestMoveOfAnEndlessPipeline: a client that has always more on the way than net/http's
// buffer holds seldom comes to where it could move. Near the deadline it is asked
// to leave; it is never cut.
func TestMoveOfAnEndlessPipeline(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-drain", "3s")
	first := a.expect("ready", 0)
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
	if end := a.expect("end", 0); end.Err != "" {
		t.Error(end.Err)
	}
}

// TestMovePastADeadline: a generation whose own drain is over takes no more
// connections from the one before it; they are served there.
func TestMovePastADeadline(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	must(t, os.WriteFile(filepath.Join(a.dir, "drain"), []byte("100ms"), 0o644))
	c := rawhttp.Dial(t, first.Addrs[0])
	c.Ask("/?d=1s")
	a.expect("handling", 0)
	a.signal(first.PID, syscall.SIGUSR2)
	a.signal(a.expect("ready", 1).PID, syscall.SIGUSR2)
	a.expect("ready", 2)
	c.Answer()
	c.Ask("/")
	if resp := c.Answer(); resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
}
