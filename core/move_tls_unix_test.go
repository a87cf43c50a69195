//go:build unix

package core_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestMove_TLSClientsNoticeNothing: with HTTP/1 and HTTP/2, streamed bodies and pauses, through upgrades of which one is
// rolled back. None connects again.
func TestMove_TLSClientsNoticeNothing(t *testing.T) {
	t.Parallel()
	upgrades := 4
	if n, err := strconv.Atoi(os.Getenv("CORE_TEST_TLS_UPGRADES")); err == nil { // a long form
		upgrades = n
	}
	certFile, keyFile, pool := rawhttp.Certificate(t)
	a := installed(t)
	a.start("app", "./app", "-tlshandoff", "-cert", certFile, "-key", keyFile, "-listen", "tcp,127.0.0.1:0,tls",
		"-probation", "200ms", "-maxdraining", "100")
	first := a.expect("ready", 0)
	conf := &tls.Config{RootCAs: pool}
	base := load.Config{Addr: first.Addrs[0], TLS: conf, Timeout: patience, Clients: 4, Chunked: true, BodySize: 2000}
	http2, large := base, base
	http2.HTTP2, http2.Streams = true, 4
	large.BodySize = 100_000
	runs := map[string]*load.Run{"HTTP/1": load.Start(base), "HTTP/1, large": load.Start(large), "HTTP/2": load.Start(http2)}
	goesOn := func() {
		t.Helper()
		for name, r := range runs {
			want := r.Snapshot().Requests + 20
			proctest.Await(t, name+" goes on", func() bool { return r.Snapshot().Requests >= want })
		}
	}
	a.upgradeWithARollback(first, upgrades, goesOn)
	again := 0
	for _, r := range runs {
		res := expectLossless(t, r)
		again += res.Reconnects
	}
	if again > 1 {
		t.Errorf("clients have connected again %d times, and the version that was rejected had one of them at the most", again)
	}
	if n := strings.Count(a.log(), "ledger.moved_tls=12 ") + again; n < upgrades {
		t.Errorf("%d processes have moved all 12 connections, want %d", n, upgrades)
	}
	expectAgreement(a)
}

// tlsApp is the app with a server whose TLS connections move.
type tlsApp struct {
	*app
	addr string
	conf *tls.Config // the client's; the server's certificate is in it, too
}

func startTLS(t *testing.T, way, idle string) tlsApp {
	t.Helper()
	certFile, keyFile, pool := rawhttp.Certificate(t)
	a := installed(t)
	if idle != "" {
		a.write("idle", idle)
	}
	a.start("app", "./app", "-control", "ctl.sock", "-tlshandoff", "-cert", certFile, "-key", keyFile,
		"-listen", "tcp,127.0.0.1:0,"+way)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	must(t, err)
	return tlsApp{a, a.expect("ready", 0).Addrs[0], &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}}}
}

func (a tlsApp) dial(version uint16) *rawhttp.Client {
	conf := a.conf.Clone()
	conf.MaxVersion = version
	return rawhttp.DialTLS(a.t, a.addr, conf)
}

func asksTLS(t testing.TB, c *rawhttp.Client) (info tlsInfo) {
	t.Helper()
	c.Ask("/tls")
	must(t, json.Unmarshal(c.Answer().Body, &info))
	return info
}

// TestMove_TLSIsKnownToTheProgram: what a handler sees of it is the same in each process, also when the connection has
// moved twice with nothing asked in between.
func TestMove_TLSIsKnownToTheProgram(t *testing.T) {
	t.Parallel()
	a := startTLS(t, "tls client", "")
	c := a.dial(0)
	before := asksTLS(t, c)
	if before.Version != tls.VersionTLS13 || before.Peers != 1 {
		t.Errorf("before: %+v", before)
	}
	upgrade1(a.app, 0)
	upgrade1(a.app, 1)
	want := before
	want.Generation = 2
	expectEqual(t, "after", asksTLS(t, c), want)
	expectAgreement(a.app)
}

// TestMove_TLSThatStays: TLS 1.2 is served, and its client is asked to leave. A version that takes no TLS gets none.
func TestMove_TLSThatStays(t *testing.T) {
	t.Parallel()
	a := startTLS(t, "tls", "")
	older, newer := a.dial(tls.VersionTLS12), a.dial(0)
	expectEqual(t, "version", asksTLS(t, older).Version, uint16(tls.VersionTLS12))
	asksTLS(t, newer)
	leaves := func(c *rawhttp.Client, gen int, moved, stayed uint64) {
		t.Helper()
		a.next(a.expect("ready", gen))
		a.expectLog("msg=draining", gen+1)
		status(t, control.Dial(a.path("ctl.sock")), func(st control.Status) bool {
			return slices.ContainsFunc(st.Generations, func(g control.Generation) bool {
				return g.Generation == gen && g.MovedTLS == moved && g.StayedTLS == stayed
			})
		})
		c.Ask("/tls")
		if resp := c.Answer(); !resp.Close {
			t.Error("the client is not asked to leave")
		}
		if _, err := c.Reader.ReadByte(); !errors.Is(err, io.EOF) { // after close_notify
			t.Errorf("the connection ends with %v", err)
		}
		a.endsWell(gen)
	}
	leaves(older, 0, 1, 1)
	a.expectLog("ledger.moved_tls=1 ledger.stayed_tls_version=1 ", 1)
	expectEqual(t, "generation", asksTLS(t, newer).Generation, 1)
	a.setMode("notls")
	leaves(newer, 1, 0, 0) // none was to move
	expectAgreement(a.app)
}

// TestMove_TLSSaysGoodbye to a client whose connection is parked, at a stop and when it has been idle for too long.
func TestMove_TLSSaysGoodbye(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]struct {
		idle string
		stop bool
	}{"a stop": {stop: true}, "idle for too long": {idle: "1s"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := startTLS(t, "tls", how.idle)
			c := a.dial(0)
			asksTLS(t, c)
			upgrade1(a.app, 0)
			if how.stop {
				a.signal(a.expect("ready", 1).PID, syscall.SIGTERM)
			}
			if _, err := c.Reader.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("the connection ends with %v", err)
			}
		})
	}
}

// TestHandoff_MovesTLS that a handler has taken over.
func TestHandoff_MovesTLS(t *testing.T) {
	t.Parallel()
	a := startTLS(t, "tls", "")
	c := a.dial(0)
	c.Ask("/hijack?handoff=echo")
	if resp := c.Answer(); resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp.Status)
	}
	for gen := range 3 {
		c.Send("\n")
		if line, err := c.Reader.ReadString('\n'); err != nil || line != fmt.Sprintf("generation %d\n", gen) {
			t.Errorf("%q, %v", line, err)
		}
		upgrade1(a.app, gen)
	}
	expectAgreement(a.app)
}

// TestTLSHandoff_ShakesHandsLikeNetHTTP: who speaks HTTP in the clear is told so, and whose time is over is cut.
func TestTLSHandoff_ShakesHandsLikeNetHTTP(t *testing.T) {
	t.Parallel()
	a := startTLS(t, "tls", "")
	c := rawhttp.Dial(t, a.addr)
	c.Ask("/")
	if resp := c.Answer(); resp.StatusCode != http.StatusBadRequest || !resp.Close && resp.ProtoMinor != 0 {
		t.Errorf("%s", resp.Status)
	}
	a.expectLog("http: TLS handshake error from "+c.LocalAddr().String()+": client sent an HTTP request to an HTTPS server", 1)
	silent := rawhttp.Dial(t, a.addr)
	must(t, silent.Close())
	a.expectLog("http: TLS handshake error from "+silent.LocalAddr().String()+": EOF", 1)
}
