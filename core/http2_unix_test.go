//go:build unix

package core_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

func init() { programs["http2"] = playHTTP2 }

// playHTTP2 serves in the clear (HTTP/1, and this is where the test asks for the ledger),
// and in the ways that its arguments name.
func playHTTP2() {
	cert := flag.String("cert", "", "")
	key := flag.String("key", "", "")
	flag.Parse()
	if mode() == "oldgo" { // whose net/http does not leave as core relies on
		changed := errors.New("net/http has changed")
		h2.Doors = func() h2.Tried { return h2.Tried{Clear: changed, State: changed} }
	}
	var addrs []string
	err := core.Run(func(u *core.Upgrader) error {
		for _, kind := range append([]string{"plain"}, flag.Args()...) {
			ln, err := u.Listen(context.Background(), "tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			addrs = append(addrs, ln.Addr().String())
			srv := appServer(u, len(addrs)-1)
			if strings.Contains(kind, "h2c") {
				srv.Protocols = new(http.Protocols)
				srv.Protocols.SetHTTP1(true)
				srv.Protocols.SetHTTP2(true)
				srv.Protocols.SetUnencryptedHTTP2(true)
			}
			if strings.Contains(kind, "listener") {
				cert, err := tls.LoadX509KeyPair(*cert, *key)
				if err != nil {
					return err
				}
				ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}})
			}
			if kind == "tls" {
				err = u.AttachTLS(srv, ln, *cert, *key)
			} else {
				err = u.Attach(srv, ln)
			}
			if err != nil {
				return err
			}
		}
		go func() {
			if u.Ready() == nil {
				emit(event{Event: "ready", Gen: core.Generation(), Addrs: addrs})
			}
		}()
		return nil
	}, core.WithoutControlSocket(), core.WithProbation(0), core.WithMaxDraining(100),
		core.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	end := event{Event: "end", Gen: core.Generation()}
	if err != nil {
		end.Err = err.Error()
	}
	emit(end)
}

var http2Kinds = []string{"tls", "h2c", "listener", "h2c listener"}

// startHTTP2 starts it with a server of each kind, behind the one in the clear.
func startHTTP2(t *testing.T, mode string, env ...string) (a *app, pool *x509.CertPool) {
	t.Helper()
	certFile, keyFile, pool := rawhttp.Certificate(t)
	a = prepare(t)
	a.env = env
	install(t, a.dir+"/app")
	a.setMode(mode)
	a.start("http2", "./app", append([]string{"-cert", certFile, "-key", keyFile}, http2Kinds...)...)
	return a, pool
}

// clientTLS is how a client of a kind of server dials.
func clientTLS(kind string, pool *x509.CertPool) *tls.Config {
	if kind == "h2c" {
		return nil
	}
	return &tls.Config{RootCAs: pool}
}

// TestHTTP2UpgradesUnderLoad: clients that never repeat a request post on many streams, and
// upgrades refuse none, whichever way HTTP/2 comes; nor does HTTP/1 suffer beside it.
func TestHTTP2UpgradesUnderLoad(t *testing.T) {
	upgrades := 3
	if n := os.Getenv("CORE_TEST_HTTP2_UPGRADES"); n != "" { // a long run, by hand
		var err error
		upgrades, err = strconv.Atoi(n)
		must(t, err)
	}
	a, pool := startHTTP2(t, "")
	first := a.expect("ready", 0)
	runs := map[string]*load.Run{}
	for i, kind := range append([]string{"plain"}, http2Kinds...) {
		cfg := load.Config{Addr: first.Addrs[i], Timeout: patience, Clients: 2, Chunked: true, BodySize: 2000}
		if strings.Contains(kind, "tls") || strings.Contains(kind, "listener") {
			cfg.TLS = &tls.Config{RootCAs: pool}
		}
		runs[kind+", HTTP/1"] = load.Start(cfg)
		if kind != "plain" {
			cfg.HTTP2, cfg.Streams = true, 4
			runs[kind+", HTTP/2"] = load.Start(cfg)
		}
	}
	awaitAll := func(n int) {
		for name, r := range runs {
			want := r.Snapshot().Requests + n
			for end := time.Now().Add(patience); r.Snapshot().Requests < want; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%s stands still: %v", name, r.Snapshot())
				}
			}
		}
	}
	awaitAll(50)
	for i := range upgrades {
		upgradeFrom(a, i, i+1)
		awaitAll(50)
	}
	for name, r := range runs {
		res := r.Stop()
		t.Logf("%s: %v", name, res)
		if res.Failed != 0 {
			t.Errorf("%s: %d of %d requests failed", name, res.Failed, res.Requests)
		}
		if strings.HasSuffix(name, "HTTP/2") && res.Connects < 2*(upgrades+1) {
			t.Errorf("%s: %d connections, but each process's were to be left", name, res.Connects)
		}
	}
	a.expect("end", upgrades-1)
	for i := range upgrades {
		if end := a.expect("end", i); end.Err != "" {
			t.Errorf("generation %d: %s", end.Gen, end.Err)
		}
	}
	expectAgreement(a)
}

// TestHTTP2OnAChangedGo: where net/http is not what core relies on, HTTP/2 works in its own
// way: each request is answered, before and after an upgrade, and the old process gets to
// its end because an answer says GOAWAY.
func TestHTTP2OnAChangedGo(t *testing.T) {
	t.Parallel()
	a, pool := startHTTP2(t, "oldgo")
	first := a.expect("ready", 0)
	type asker struct {
		kind string
		c    *rawhttp.HTTP2
	}
	var askers []asker
	for i, kind := range http2Kinds {
		c := rawhttp.DialHTTP2(t, first.Addrs[i+1], clientTLS(kind, pool))
		c.Open(1, 0)
		c.Send(rawhttp.FrameData, rawhttp.FlagEndStream, 1, "before")
		c.Answered(1)
		c.Open(3, 0) // answered by a process that drains
		askers = append(askers, asker{kind, c})
	}
	expectStats(t, first.Addrs[0], func(l core.Ledger) bool { return l.Open.Requests >= len(askers) })
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("ready", 1)
	a.expectLog("msg=draining", 1)
	for _, as := range askers {
		as.c.Send(rawhttp.FrameData, rawhttp.FlagEndStream, 3, "during")
		as.c.Open(5, 0)
		as.c.Send(rawhttp.FrameData, rawhttp.FlagEndStream, 5, "told")
		last, answers := as.c.Leaves(3, 5)
		if last != 5 || answers[3] != "during" || answers[5] != "told" {
			t.Errorf("%s: last stream %d, answers %q", as.kind, last, answers)
		}
		must(t, as.c.Conn.Close())
	}
	if end := a.expect("end", 0); end.Err != "" {
		t.Error(end.Err)
	}
	for i, kind := range http2Kinds {
		c := rawhttp.DialHTTP2(t, first.Addrs[i+1], clientTLS(kind, pool))
		c.Open(1, rawhttp.FlagEndStream)
		c.Answered(1)
	}
	a.expectLog("GOAWAY goes out with answers only", 1)
}

// TestHTTP2OffByGODEBUG: GODEBUG=http2server=0 turns HTTP/2 off.
func TestHTTP2OffByGODEBUG(t *testing.T) {
	t.Parallel()
	a, pool := startHTTP2(t, "", "GODEBUG=http2server=0")
	first := a.expect("ready", 0)
	if got := askFor(t, first.Addrs[1], pool, "h2"); got != "" {
		t.Errorf("%q", got) // the handler's answer to HTTP/1.1, which has no body
	}
	nc, err := tls.Dial("tcp", first.Addrs[1], &tls.Config{RootCAs: pool, NextProtos: []string{"h2", "http/1.1"}})
	must(t, err)
	defer nc.Close()
	if p := nc.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
		t.Errorf("the server speaks %q", p)
	}
	plain, err := net.Dial("tcp", first.Addrs[2])
	must(t, err)
	defer plain.Close()
	must(t, plain.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(plain, h2.Preface)
	must(t, err)
	b, err := io.ReadAll(plain)
	must(t, err)
	if !strings.HasPrefix(string(b), "HTTP/1.1 ") {
		t.Errorf("the server says %q to HTTP/2's preface", b)
	}
}
