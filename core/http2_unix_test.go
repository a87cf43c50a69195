//go:build unix

package core_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// http2Kinds are the servers of the app here. The first one is for HTTP/1, and for the ledger.
var http2Kinds = []string{"plain", "tls", "h2c", "listener", "h2c+listener"}

// startHTTP2 starts the app with a server of each kind.
func startHTTP2(t *testing.T, mode string, env ...string) (a *app, pool *x509.CertPool) {
	t.Helper()
	certFile, keyFile, pool := rawhttp.Certificate(t)
	args := []string{"-cert", certFile, "-key", keyFile, "-probation", "0", "-maxdraining", "100"}
	for _, kind := range http2Kinds {
		args = append(args, "-listen", "tcp,127.0.0.1:0,"+kind)
	}
	a = installed(t)
	a.env = env
	a.setMode(mode)
	a.start("app", "./app", args...)
	return a, pool
}

// clientTLS is how a client of a kind of server dials, nil in the clear.
func clientTLS(kind string, pool *x509.CertPool) *tls.Config {
	if kind == "plain" || kind == "h2c" {
		return nil
	}
	return &tls.Config{RootCAs: pool}
}

// TestHTTP2_UpgradesRefuseNoStream: the clients never repeat a request. HTTP/1 does not suffer beside it, and HTTP/2 in
// the clear does not connect anew.
func TestHTTP2_UpgradesRefuseNoStream(t *testing.T) {
	t.Parallel()
	upgrades := 3
	if n, err := strconv.Atoi(os.Getenv("CORE_TEST_HTTP2_UPGRADES")); err == nil { // a long form
		upgrades = n
	}
	a, pool := startHTTP2(t, "")
	first := a.expect("ready", 0)
	runs := map[string]*load.Run{}
	for i, kind := range http2Kinds {
		cfg := load.Config{
			Addr: first.Addrs[i], TLS: clientTLS(kind, pool), Timeout: patience, Clients: 2, Chunked: true, BodySize: 2000,
		}
		runs[kind+", HTTP/1"] = load.Start(cfg)
		if kind != "plain" {
			cfg.HTTP2, cfg.Streams = true, 4
			runs[kind+", HTTP/2"] = load.Start(cfg)
		}
	}
	awaitMore := func() {
		for name, r := range runs {
			want := r.Snapshot().Requests + 50
			proctest.Await(t, name+" goes on", func() bool { return r.Snapshot().Requests >= want })
		}
	}
	awaitMore()
	for i := range upgrades {
		upgradeFrom(a, i, i+1)
		awaitMore()
	}
	for name, r := range runs {
		t.Log(name)
		switch res := expectLossless(t, r); {
		case name == "h2c, HTTP/2" && res.Connects != 2:
			t.Errorf("%s: %d connections, but they were to move", name, res.Connects)
		case name != "h2c, HTTP/2" && strings.HasSuffix(name, "HTTP/2") && res.Connects < 2*(upgrades+1):
			t.Errorf("%s: %d connections, but each process's were to be left", name, res.Connects)
		}
	}
	for i := range upgrades {
		a.endsWell(i)
	}
	expectAgreement(a)
}

// TestHTTP2_WorksWhereNetHTTPHasChanged: HTTP/2 works in its own way then. Each request is answered, and the old
// process gets to its end because an answer says GOAWAY.
func TestHTTP2_WorksWhereNetHTTPHasChanged(t *testing.T) {
	t.Parallel()
	a, pool := startHTTP2(t, "oldhttp2")
	first := a.expect("ready", 0)
	clients := func() (all []*rawhttp.HTTP2) {
		for i, kind := range http2Kinds[1:] {
			c := rawhttp.DialHTTP2(t, first.Addrs[i+1], clientTLS(kind, pool))
			c.Open(1)
			c.End(1, "before")
			c.Answered(1)
			all = append(all, c)
		}
		return all
	}
	leaving := clients()
	for _, c := range leaving {
		c.Open(3) // answered by a process that drains
	}
	expectStats(t, first.Addrs[0], func(l core.Ledger) bool { return l.Open.Requests >= len(leaving) })
	a.next(first)
	a.expectLog("msg=draining", 1)
	for i, c := range leaving {
		c.End(3, "during")
		c.Open(5)
		c.End(5, "told")
		last, answers := c.Leaves(3, 5)
		if last != 5 || answers[3] != "during" || answers[5] != "told" {
			t.Errorf("%s: last stream %d, answers %q", http2Kinds[i+1], last, answers)
		}
		must(t, c.Close())
	}
	a.endsWell(0)
	clients()
	a.expectLog("GOAWAY goes out with answers only", 1)
}

// TestHTTP2_IsOffByGODEBUG looks at http2server=0.
func TestHTTP2_IsOffByGODEBUG(t *testing.T) {
	t.Parallel()
	a, pool := startHTTP2(t, "", "GODEBUG=http2server=0")
	first := a.expect("ready", 0)
	if agreed, got := askFor(t, first.Addrs[1], pool, "h2"); agreed != "http/1.1" || got != "HTTP/1.1" {
		t.Errorf("the server speaks %q, %s", agreed, got)
	}
	c := rawhttp.Dial(t, first.Addrs[2])
	c.Send(h2.Preface)
	b, err := io.ReadAll(c)
	must(t, err)
	if !strings.HasPrefix(string(b), "HTTP/1.1 ") {
		t.Errorf("the server says %q to HTTP/2's preface", b)
	}
}
