//go:build unix

package core_test

import (
	"crypto/tls"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// tlsConfig is what a program says of TLS: its certificate, how it comes to that, and what else the way names behind a +.
func (c *appConfig) tlsConfig(way string) *tls.Config {
	cert, err := tls.LoadX509KeyPair(c.cert, c.key)
	check(err)
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}
	_, more, _ := strings.Cut(way, "+")
	switch more {
	case "get": // as autocert does
		conf.Certificates = nil
		conf.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }
	case "configs":
		own := conf
		conf = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return own, nil }}
	case "keys": // core does not see it
		conf = core.TicketKeys("app", conf)
	case "copies": // as grpc-go's credentials
		conf = core.TicketKeys("app", conf).Clone()
		conf.NextProtos = append(conf.NextProtos, "grpc")
	case "own":
		conf.SetSessionTicketKeys([][32]byte{{1}})
	case "none":
		conf.SessionTicketsDisabled = true
	case "clients":
		conf.ClientAuth = tls.RequestClientCert
	}
	return conf
}

// ticketKinds are programs with TLS, and whether a client that comes back to the next generation resumes its session.
var ticketKinds = map[string]bool{
	"tls":             true, // files
	"tls+certificate": true,
	"tls+get":         true,
	"tls+configs":     true,
	"tls+keys":        true,
	"tls+own":         true, // by the program's own keys
	"tls+none":        false,
	"tls+clients":     false,
	"listener":        false, // core does not see its config
	"listener+keys":   true,
	"listener+copies": true,
}

// ticketClient is a client with a cache for each kind of server.
type ticketClient struct {
	a     *app
	kinds []string
	first event
	confs map[string]*tls.Config // by the kind, and the version of TLS or HTTP
}

// startTickets starts the app with a server of each kind, and one without TLS as the first.
func startTickets(t *testing.T, mode string, kinds []string, env ...string) *ticketClient {
	t.Helper()
	certFile, keyFile, pool := rawhttp.Certificate(t)
	args := []string{"-cert", certFile, "-key", keyFile, "-maxdraining", "100", "-listen", "tcp,127.0.0.1:0"}
	c := &ticketClient{kinds: kinds, confs: map[string]*tls.Config{}}
	for _, kind := range kinds {
		args = append(args, "-listen", "tcp,127.0.0.1:0,"+kind)
		for _, with := range []string{"", "TLS 1.2", "HTTP/2"} {
			conf := &tls.Config{RootCAs: pool, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
			if with == "TLS 1.2" {
				conf.MaxVersion = tls.VersionTLS12
			}
			c.confs[kind+" "+with] = conf
		}
	}
	c.a = installed(t)
	c.a.env = slices.Concat(env, []string{core.EnvMode + "=" + mode})
	c.a.start("app", "./app", args...)
	c.first = c.a.expect("ready", 0)
	return c
}

// resumed connects anew with each client, and returns what has become of the handshakes.
func (c *ticketClient) resumed() map[string]bool {
	t := c.a.t
	t.Helper()
	got := make(map[string]bool)
	for i, kind := range c.kinds {
		addr := c.first.Addrs[i+1]
		for _, with := range []string{"", "TLS 1.2"} {
			nc, err := tls.Dial("tcp", addr, c.confs[kind+" "+with])
			must(t, err)
			_, err = io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			must(t, err)
			answer, err := io.ReadAll(nc) // and the ticket
			must(t, err)
			if !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
				t.Errorf("%s %s: the answer is %q", kind, with, answer)
			}
			got[kind+" "+with] = nc.ConnectionState().DidResume
			must(t, nc.Close())
		}
		h2 := rawhttp.DialHTTP2(t, addr, c.confs[kind+" HTTP/2"])
		h2.Open(1)
		h2.End(1, "x")
		h2.Answered(1)
		got[kind+" HTTP/2"] = h2.Conn.(*tls.Conn).ConnectionState().DidResume
		must(t, h2.Close())
	}
	return got
}

// expect compares that with what each kind of server is to do.
func (c *ticketClient) expect(when string, want func(kind string) bool) {
	c.a.t.Helper()
	got := c.resumed()
	for _, name := range slices.Sorted(maps.Keys(got)) {
		kind, _, _ := strings.Cut(name, " ")
		if got[name] != want(kind) {
			c.a.t.Errorf("%s, %s: resumed %v, want %v", when, name, got[name], want(kind))
		}
	}
}

func never(string) bool { return false }

// TestTickets_GoThroughUpgrades is the table of docs/tls.md: no client whose session can go on shakes hands in full.
func TestTickets_GoThroughUpgrades(t *testing.T) {
	t.Parallel()
	c := startTickets(t, "", slices.Sorted(maps.Keys(ticketKinds)))
	c.expect("the first time", never)
	ev := c.first
	for range 2 {
		ev = c.a.next(ev)
		c.expect("generation "+itoa(ev.Gen), func(kind string) bool { return ticketKinds[kind] })
	}
	if log := c.a.log(); strings.Contains(log, "session tickets") {
		t.Error(log)
	}
	c.a.stopAll(ev.PID)
}

// TestTickets_AreEachProcessesOwn without the service's keys, but for those of the program.
func TestTickets_AreEachProcessesOwn(t *testing.T) {
	t.Parallel()
	c := startTickets(t, "", []string{"tls", "tls+configs", "tls+keys", "tls+own", "listener+keys"}, "APP_TICKETS=off")
	c.expect("the first time", never)
	c.expect("the same process", func(string) bool { return true })
	ev := c.a.next(c.first)
	c.expect("the next process", func(kind string) bool { return kind == "tls+own" })
	c.a.stopAll(ev.PID)
}

// always is for servers whose sessions are to go on.
func always(string) bool { return true }

// TestTickets_StayThroughRollbacks: whichever process serves, clients go on.
func TestTickets_StayThroughRollbacks(t *testing.T) {
	t.Parallel()
	c := startTickets(t, "", []string{"tls", "tls+configs", "listener+keys"}, "APP_PROBATION=4m")
	c.expect("the first time", never)
	for i := range 2 {
		c.a.next(c.first)
		c.expect("on probation", always)
		expectError(t, c.a.call(c.first.Addrs[0], "/reject?why=bad"), "<nil>")
		c.a.expectLog("this process serves again", i+1)
		c.expect("rolled back", always)
		c.a.expect("end", i)
	}
	c.a.stopAll(c.first.PID)
}

// TestTickets_WithSupervisor: the worker before hands the keys on. The supervisor has none, so that after a crash they
// are others.
func TestTickets_WithSupervisor(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"auto", "supervised"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			c := startTickets(t, mode, []string{"tls", "tls+own"})
			a := c.a
			c.expect("the first time", never)
			ev := a.next(c.first)
			c.expect("the next process", always)
			if mode == "auto" {
				a.becomesSupervisor()
			}
			ev = a.next(ev)
			c.expect("and its next", always)
			a.expectLog("generation ended", 2) // else the one before would serve again
			a.signal(ev.PID, syscall.SIGKILL)
			ev = a.expect("ready", 3)
			c.expect("after a crash", func(kind string) bool { return kind == "tls+own" })
			a.next(ev)
			c.expect("and an upgrade", always)
			a.stopsWell()
		})
	}
}

// TestTickets_UnderLoad counts the handshakes of clients that have requests all the time, and come back when they are
// told to: none is in full from the first upgrade on.
func TestTickets_UnderLoad(t *testing.T) {
	t.Parallel()
	const clients = 8
	upgrades := 1
	if n, err := strconv.Atoi(os.Getenv("CORE_TEST_TICKETS_UPGRADES")); err == nil { // a long form
		upgrades = n
	}
	c := startTickets(t, "", []string{"tls", "tls+get", "tls+configs", "listener+keys", "listener"})
	type handshakes struct{ full, resumed atomic.Int64 }
	all, runs := map[string]*handshakes{}, map[string]*load.Run{}
	for i, kind := range c.kinds {
		conf, count := c.confs[kind+" "].Clone(), new(handshakes)
		conf.VerifyConnection = func(st tls.ConnectionState) error {
			if st.DidResume {
				count.resumed.Add(1)
			} else {
				count.full.Add(1)
			}
			return nil
		}
		all[kind] = count
		runs[kind] = load.Start(load.Config{Addr: c.first.Addrs[i+1], TLS: conf, Clients: clients, Timeout: patience, Think: time.Millisecond})
	}
	ev, before := c.first, map[string]int64{} // before the first upgrade
	for i := range upgrades + 1 {
		if i > 0 {
			ev = c.a.next(ev)
		}
		for kind, r := range runs {
			proctest.Await(t, kind+": all have come", func() bool { return r.Snapshot().Connects >= clients*(i+1) })
			awaitServed(t, r, load.Server{PID: itoa(ev.PID), Generation: itoa(ev.Gen)})
			if i == 0 {
				before[kind] = all[kind].full.Load()
			}
		}
	}
	for _, kind := range c.kinds {
		res := expectLossless(t, runs[kind])
		full, resumed := all[kind].full.Load()-before[kind], all[kind].resumed.Load()
		t.Logf("%s: %d connects, %d handshakes in full before the upgrades, then %d, %d resumed", kind, res.Connects, before[kind], full, resumed)
		switch {
		case kind == "listener" && full < int64(upgrades): // those of one process can use each other's sessions
			t.Errorf("%s: %d handshakes in full", kind, full)
		case kind != "listener" && full > 0:
			t.Errorf("%s: %d handshakes in full after an upgrade", kind, full)
		}
	}
	c.a.stopAll(ev.PID)
}
