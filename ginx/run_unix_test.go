//go:build unix

package ginx_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/ginx"
	"github.com/gracex-go/gracex/internal/load"
)

// programs are what the test binary can play, each one run method.
var programs = map[string]*program{
	"Run": {main: func(log *slog.Logger, opts []core.Option, args []string) error {
		return ginx.Run(app(log), args[0], opts...)
	}},
	"RunTLS": {main: func(log *slog.Logger, opts []core.Option, args []string) error {
		return ginx.RunTLS(app(log), args[0], args[1], args[2], opts...)
	}},
	"RunUnix": {main: func(log *slog.Logger, opts []core.Option, args []string) error {
		return ginx.RunUnix(app(log), args[0], opts...)
	}},
	"RunFd": {main: func(log *slog.Logger, opts []core.Option, args []string) error {
		fd, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		return ginx.RunFd(app(log), fd, opts...)
	}},
	"RunListener": {main: func(log *slog.Logger, opts []core.Option, args []string) error {
		ln, err := core.Listen(context.Background(), "tcp", args[0])
		if err != nil {
			return err
		}
		log.Info("listening", "address", ln.Addr().String())
		return ginx.RunListener(app(log), struct{ net.Listener }{ln}, opts...) // wrapped, as people do
	}},
	"net.Listen": {main: func(log *slog.Logger, opts []core.Option, args []string) error {
		// A program with an address of its own: the file keeps it.
		address, err := os.ReadFile(args[0])
		if err != nil {
			address = []byte("127.0.0.1:0")
		}
		ln, err := net.Listen("tcp", string(address))
		if err != nil {
			return err
		}
		log.Info("listening", "address", ln.Addr().String())
		if err := os.WriteFile(args[0], []byte(ln.Addr().String()), 0o600); err != nil {
			return err
		}
		return ginx.RunListener(app(log), ln, opts...)
	}},
	"UseH2C": {main: func(log *slog.Logger, opts []core.Option, args []string) error {
		r := app(log)
		r.UseH2C = true
		return ginx.Run(r, args[0], opts...)
	}},
	"readiness": {main: readinessProgram},
}

// app is a small program's router: it says who answers and in which protocol it
// was asked.
func app(log *slog.Logger) *gin.Engine {
	r := gin.New()
	r.Use(ginx.Readiness(), gin.Recovery(), func(c *gin.Context) {
		c.Header("X-Pid", strconv.Itoa(os.Getpid()))
		c.Header("X-Generation", strconv.Itoa(core.Generation()))
		c.Header("X-Proto", c.Request.Proto)
	})
	echo := func(c *gin.Context) {
		body, err := io.ReadAll(c.Request.Body)
		if err != nil {
			_ = c.AbortWithError(http.StatusBadRequest, err)
			return
		}
		c.Data(http.StatusOK, "text/plain", body)
	}
	r.GET("/", echo)
	r.POST("/", echo)
	// /held is a request that is in flight when the upgrade comes.
	r.POST("/held", func(c *gin.Context) {
		log.Info("held", "generation", core.Generation())
		<-core.Draining(c.Request.Context())
		echo(c)
	})
	return r
}

// method is a run method under test.
type method struct {
	program string
	args    []string
	files   []*os.File
	client  func(address string) *http.Client // keeps its connections
	url     string                            // empty: from the address
	proto   string                            // what the server must see
	load    func(address string) load.Config
}

func methods(t *testing.T) map[string]method {
	t.Helper()
	cert, pool := certificate(t)
	dir, err := os.MkdirTemp("", "ginx") // t.TempDir can be longer than a unix socket's path may be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	sock := filepath.Join(dir, "sock")
	return map[string]method{
		"Run": {
			program: "Run", args: []string{"127.0.0.1:0"},
			client: client(func(*http.Transport) {}), proto: "HTTP/1.1",
			load: func(address string) load.Config { return load.Config{Addr: address} },
		},
		"RunTLS": {
			program: "RunTLS", args: []string{"127.0.0.1:0", cert + ".crt", cert + ".key"},
			client: client(func(tr *http.Transport) {
				tr.TLSClientConfig = &tls.Config{RootCAs: pool}
				tr.ForceAttemptHTTP2 = true
			}), proto: "HTTP/2.0",
			load: func(address string) load.Config {
				return load.Config{Addr: address, TLS: &tls.Config{RootCAs: pool}}
			},
		},
		"RunUnix": {
			program: "RunUnix", args: []string{sock}, url: "http://unix",
			client: client(func(tr *http.Transport) {
				tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "unix", sock)
				}
			}), proto: "HTTP/1.1",
			load: func(string) load.Config { return load.Config{Network: "unix", Addr: sock} },
		},
		"RunFd": {
			program: "RunFd", args: []string{"4"}, files: []*os.File{os.Stderr, listenFile(t)},
			client: client(func(*http.Transport) {}), proto: "HTTP/1.1",
			load: func(address string) load.Config { return load.Config{Addr: address} },
		},
		"RunListener": {
			program: "RunListener", args: []string{"127.0.0.1:0"},
			client: client(func(*http.Transport) {}), proto: "HTTP/1.1",
			load: func(address string) load.Config { return load.Config{Addr: address} },
		},
		"UseH2C": {
			program: "UseH2C", args: []string{"127.0.0.1:0"},
			client: client(func(tr *http.Transport) {
				tr.Protocols = new(http.Protocols)
				tr.Protocols.SetUnencryptedHTTP2(true)
			}), proto: "HTTP/2.0",
			load: func(address string) load.Config { return load.Config{Addr: address} },
		},
	}
}

// Each run method serves in its protocol, hands over while a request of that
// protocol is in flight, again and again, and stops while one is.
func TestRunMethods(t *testing.T) {
	t.Parallel()
	for name, m := range methods(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, m.program, m.args, m.files...)
			url := m.url
			if url == "" {
				url = "http://" + s.address
			}
			if m.program == "RunTLS" {
				url = "https://" + s.address
			}
			c := m.client(s.address)
			dials := countDials(c)
			// The connections of a wrapped listener stay, and so do those of HTTP/2.
			moves := m.proto == "HTTP/1.1" && m.program != "RunListener"
			for _, sig := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGHUP} {
				expect(t, s, post(t, c, url+"/", strings.NewReader("first")), m.proto, "first")
				before := s.copy()
				held := s.hold(c, url)
				s.upgrade(sig)
				expect(t, before, <-held, m.proto, "held")
				if m.proto == "HTTP/1.1" && !moves {
					// The connection is still the old generation's, and its last
					// answer says so.
					resp := post(t, c, url+"/", strings.NewReader("polite"))
					if resp != nil && !resp.Close {
						t.Error("no Connection: close on the connection of the generation that drains")
					}
					expect(t, before, resp, m.proto, "polite")
				}
				// Nothing but a client that was told to go keeps it waiting.
				end := s.await("to end", func(e event) bool { return e.Msg == "generation ended" && e.Generation == before.gen })
				if end.Ledger.Idle != 0 {
					t.Errorf("generation %d ended by closing %d idle connections", before.gen, end.Ledger.Idle)
				}
				if !moves {
					c.CloseIdleConnections() // which it may not have seen closed yet
				}
				expect(t, s, post(t, c, url+"/", strings.NewReader("second")), m.proto, "second")
			}
			if n := dials.Load(); moves && n != 1 {
				t.Errorf("%d connections: they do not move with an upgrade", n)
			}
			held := s.hold(c, url)
			s.signal(syscall.SIGTERM)
			expect(t, s, <-held, m.proto, "held")
			c.CloseIdleConnections()
			s.end()
			if m.program == "RunUnix" {
				if _, err := os.Lstat(m.args[0]); err == nil {
					t.Error("the socket's path is still there after the stop")
				}
			}
		})
	}
}

// Each run method is upgraded under POST load that never retries: nothing fails.
func TestUpgradesUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	upgrades := 8
	if testing.Short() {
		upgrades = 2
	}
	for name, m := range methods(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, m.program, m.args, m.files...)
			answered := make(chan string)
			cfg := m.load(s.address)
			cfg.Clients, cfg.Fresh, cfg.Timeout = 8, 4, patience
			cfg.Think = 2 * time.Millisecond // leave the new process something of a small machine
			cfg.Observe = func(sample load.Sample) {
				select {
				case answered <- sample.Server.Generation:
				default:
				}
			}
			run := load.Start(cfg)
			defer run.Stop()
			awaitLoad := func() {
				late := time.After(patience)
				for seen := 0; seen < 40; {
					select {
					case gen := <-answered:
						if gen == strconv.Itoa(s.gen) {
							seen++
						}
					case <-late:
						t.Fatalf("generation %d gets no load: %v", s.gen, run.Snapshot())
					}
				}
			}
			awaitLoad()
			for range upgrades {
				s.upgrade(syscall.SIGUSR2)
				awaitLoad()
			}
			if r := run.Stop(); r.Failed != 0 || len(r.Served) != upgrades+1 {
				t.Errorf("want 0 failed and %d generations: %v", upgrades+1, r)
			}
			s.stop()
		})
	}
}

// A client that knows no HTTP/2 is answered in HTTP/1.1, one that asks for h2c
// by Upgrade too.
func TestUseH2CLeavesHTTP1(t *testing.T) {
	t.Parallel()
	s := start(t, "UseH2C", []string{"127.0.0.1:0"})
	c := client(func(*http.Transport) {})(s.address)
	expect(t, s, post(t, c, "http://"+s.address+"/", strings.NewReader("plain")), "HTTP/1.1", "plain")

	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.address+"/", strings.NewReader("upgrade"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Connection", "Upgrade, HTTP2-Settings")
	req.Header.Set("Upgrade", "h2c")
	req.Header.Set("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA")
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, s, resp, "HTTP/1.1", "upgrade")
	c.CloseIdleConnections()
	s.stop()
}

// With a listener from net.Listen RunListener serves, and what its documentation
// says about upgrades holds: the next generation's own net.Listen fails, and this
// one serves on.
func TestRunListenerWithNetListen(t *testing.T) {
	t.Parallel()
	s := start(t, "net.Listen", []string{filepath.Join(t.TempDir(), "address")})
	c := client(func(*http.Transport) {})(s.address)
	url := "http://" + s.address + "/"
	expect(t, s, post(t, c, url, strings.NewReader("one")), "HTTP/1.1", "one")
	s.signal(syscall.SIGUSR2)
	failed := s.await("to fail to upgrade", func(e event) bool { return strings.HasPrefix(e.Msg, "upgrade failed") })
	if !strings.Contains(failed.Error, "ended before it was ready") {
		t.Errorf("the reason is %q", failed.Error)
	}
	s.await("to find the address in use", func(e event) bool {
		return e.Msg == "returned" && strings.Contains(e.Error, "address already in use")
	})
	expect(t, s, post(t, c, url, strings.NewReader("two")), "HTTP/1.1", "two")
	c.CloseIdleConnections()
	s.signal(syscall.SIGTERM)
	if err := <-s.exit; err != nil {
		t.Errorf("generation 0 ended with %v", err)
	}
}

// hold sends a request that the current generation answers when it drains, and
// returns when it has come in.
func (s *server) hold(c *http.Client, url string) <-chan *http.Response {
	s.t.Helper()
	held := make(chan *http.Response, 1)
	go func() { held <- post(s.t, c, url+"/held", strings.NewReader("held")) }()
	s.await("to hold a request", func(e event) bool { return e.Msg == "held" && e.Generation == s.gen })
	return held
}

// copy is the server as it is now: which generation is current.
func (s *server) copy() *server {
	return &server{t: s.t, pid: s.pid, gen: s.gen}
}

// expect checks that s's current generation has answered.
func expect(t *testing.T, s *server, resp *http.Response, proto, body string) {
	t.Helper()
	if resp == nil {
		return // post has said why
	}
	got := drain(t, resp)
	if resp.StatusCode != http.StatusOK || got != body {
		t.Errorf("answer %s %q, want %q", resp.Status, got, body)
	}
	if resp.Proto != proto || resp.Header.Get("X-Proto") != proto {
		t.Errorf("answered as %s, seen as %s, want %s", resp.Proto, resp.Header.Get("X-Proto"), proto)
	}
	if pid, gen := resp.Header.Get("X-Pid"), resp.Header.Get("X-Generation"); pid != strconv.Itoa(s.pid) || gen != strconv.Itoa(s.gen) {
		t.Errorf("pid %s, generation %s answered; want %d, %d", pid, gen, s.pid, s.gen)
	}
}

// post returns nil, and has said why, if there is no answer. net/http can't send
// such a body twice, so the client never retries.
func post(t *testing.T, c *http.Client, url string, body io.Reader) *http.Response {
	t.Helper()
	resp, err := c.Post(url, "text/plain", io.MultiReader(body))
	if err != nil {
		t.Error(err)
		return nil
	}
	return resp
}

// countDials counts the connections that c opens.
func countDials(c *http.Client) *atomic.Int32 {
	var n atomic.Int32
	tr := c.Transport.(*http.Transport)
	dial := tr.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		n.Add(1)
		return dial(ctx, network, address)
	}
	return &n
}

// client makes clients that keep their connections and follow configure.
func client(configure func(*http.Transport)) func(string) *http.Client {
	return func(string) *http.Client {
		tr := &http.Transport{}
		configure(tr)
		return &http.Client{Transport: tr, Timeout: patience}
	}
}

// listenFile is a listening socket as a service manager passes it.
func listenFile(t *testing.T) *os.File {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// certificate makes one for the loopback address, and returns its files' path
// without .crt and .key, and the pool that trusts it.
func certificate(t *testing.T) (path string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "server")
	for _, file := range []struct {
		ext, kind string
		der       []byte
	}{{".crt", "CERTIFICATE", der}, {".key", "PRIVATE KEY", private}} {
		var b bytes.Buffer
		if err := pem.Encode(&b, &pem.Block{Type: file.kind, Bytes: file.der}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+file.ext, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(cert)
	return path, pool
}
