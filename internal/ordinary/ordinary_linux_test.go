package ordinary

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/ordinary/host"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// upgrades is how often each program is upgraded under load.
const upgrades = 5

const patience = proctest.Patience

// ordinary is a program, and what is asked of it.
type ordinary struct {
	name   string
	args   []string
	asks   []ask
	load   load.Config // besides; its Path is what the clients ask for
	secure bool        // it speaks TLS
	mode   string      // core.EnvMode; empty is what a program finds out
	before func(dir string) error
	after  func(dir string) error // before the last upgrade: its settings change
}

// ask is what a client says, and how its answers are compared.
type ask struct {
	send string // as it is on the wire
	// What follows when the answer has come to this end; empty: nothing does.
	until, then string

	as func(raw []byte) ([]byte, error)
}

// The frames are masked by the key 1, 2, 3, 4 (RFC 6455, section 5.3).
const (
	hello   = "\x81\x85\x01\x02\x03\x04igohn"
	goodbye = "\x88\x82\x01\x02\x03\x04\x02\xea"
)

var wsAsk = ask{
	send: "GET /ws HTTP/1.1\r\nHost: ordinary.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
	until: "\r\n\r\n", then: hello + hello + goodbye, as: exact,
}

func get(path string) ask {
	return ask{send: "GET " + path + " HTTP/1.1\r\nHost: ordinary.test\r\nConnection: close\r\n\r\n", as: exact}
}

// getHead is get for a page that is another one each time.
func getHead(path string) ask {
	a := get(path)
	a.as = headOnly
	return a
}

var programs = []ordinary{
	{name: "gorilla", asks: []ask{get("/"), wsAsk, get("/ws")}},
	{name: "coder", asks: []ask{get("/"), wsAsk, get("/ws")}},
	{name: "gobwas", asks: []ask{get("/"), wsAsk, get("/ws")}},
	{name: "cmux", asks: []ask{get("/"), {send: "one line\n", until: "\n", then: "another\n\n", as: exact}}},
	{name: "h2c", asks: []ask{get("/"), get("/?a=b")}, load: load.Config{HTTP2: true, Clients: 4, Streams: 4}},
	{name: "proxy", asks: []ask{get("/"), wsAsk, {send: get("/events").send, as: unchunked}}},
	{
		name: "pprof", asks: []ask{get("/"), get("/debug/pprof/symbol?0x1"), getHead("/debug/pprof/")},
		load: load.Config{Path: "/debug/pprof/goroutine?debug=1"},
	},
	{name: "expvar", asks: []ask{get("/service"), getHead("/debug/vars")}, load: load.Config{Path: "/debug/vars"}},
	{name: "httptrace", asks: []ask{get("/")}},
	{name: "autocert", asks: []ask{get("/")}, secure: true, before: certificate},
	// lumberjack opens a file that is there for appending, and one that is not there so that only one process can write.
	{name: "lumberjack", asks: []ask{get("/")}, before: write("access.log", "")},
	{name: "zap", asks: []ask{get("/")}},
	{name: "cobra", args: []string{"serve", "--greeting", "hello"}, asks: []ask{get("/")}},
	{
		name: "viper", asks: []ask{get("/")},
		before: write("config.yaml", "greeting: hello\nname: nobody\n"), after: write("config.yaml", "greeting: goodbye\n"),
	},
	// It is in the background, and nobody watches it.
	{name: "godaemon", asks: []ask{get("/")}, mode: "self"},
	{name: "godotenv", asks: []ask{get("/")}, before: write(".env", "GREETING=hello\n"), after: write(".env", "GREETING=goodbye\n")},
}

func TestMain(m *testing.M) {
	if err := procgroup.AdoptOrphans(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(proctest.Main(m))
}

// TestOrdinary upgrades each program under load, and compares what it answers with what it answers on net/http alone.
func TestOrdinary(t *testing.T) {
	backend := startBackend(t)
	for _, o := range programs {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			plain := o.start(t, backend, false)
			upgraded := o.start(t, backend, true)
			o.compare(t, "before the upgrades", plain, upgraded)
			o.upgradeUnderLoad(t, upgraded)
			if o.after != nil {
				for _, r := range []*running{plain, upgraded} {
					must(t, o.after(r.dir))
				}
				plain.restart(t)
				upgraded.upgrade(t)
			}
			o.compare(t, "after the upgrades", plain, upgraded)
		})
	}
}

// running is a program that runs, in a directory of its own.
type running struct {
	cmd     *exec.Cmd
	dir     string
	addr    string
	secure  bool
	program *proctest.Program
	client  *control.Client
}

func (o *ordinary) start(t *testing.T, backend string, onGracex bool) *running {
	t.Helper()
	dir := t.TempDir()
	if o.before != nil {
		must(t, o.before(dir))
	}
	bin := filepath.Join(dir, o.name)
	proctest.Build(t, bin, "./"+o.name)
	r := &running{dir: dir, addr: proctest.FreeAddr(t), secure: o.secure}
	r.cmd = &exec.Cmd{Path: bin, Args: append([]string{bin}, o.args...), Dir: dir, Env: append(os.Environ(),
		"PWD="+dir, host.EnvAddr+"="+r.addr, host.EnvBackend+"="+backend, "ORDINARY_NAME=somebody")}
	if onGracex {
		socket := filepath.Join(dir, "c")
		r.cmd.Env = append(r.cmd.Env, host.EnvControl+"="+socket)
		if o.mode != "" {
			r.cmd.Env = append(r.cmd.Env, core.EnvMode+"="+o.mode)
		}
		r.client = control.Dial(socket)
	}
	r.run(t)
	return r
}

// run starts the program, and returns when it answers.
func (r *running) run(t *testing.T) {
	t.Helper()
	cmd := *r.cmd
	r.program = proctest.Start(t, &cmd)
	proctest.Await(t, "an answer", func() bool {
		c, err := r.dial()
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

func (r *running) restart(t *testing.T) {
	t.Helper()
	must(t, r.program.End(patience))
	r.run(t)
}

func (r *running) dial() (net.Conn, error) {
	if !r.secure {
		return net.DialTimeout("tcp", r.addr, patience)
	}
	return tls.Dial("tcp", r.addr, clientTLS)
}

// clientTLS is for the certificate that certificate makes.
var clientTLS = &tls.Config{ServerName: "ordinary.test", InsecureSkipVerify: true}

func (r *running) upgrade(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	switch outcome, err := r.client.Upgrade(ctx, control.UpgradeOptions{}); {
	case err != nil:
		t.Fatal(err)
	case !outcome.OK:
		t.Fatal(outcome, outcome.Details())
	}
}

// exchange says what a has to say, and returns all that comes back, with the Date taken out.
func (r *running) exchange(a ask) ([]byte, error) {
	c, err := r.dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c, a.send); err != nil {
		return nil, err
	}
	in := bufio.NewReader(c)
	var got []byte
	for a.then != "" && !bytes.HasSuffix(got, []byte(a.until)) {
		b, err := in.ReadByte()
		if err != nil {
			return got, fmt.Errorf("before the end of the first answer: %w", err)
		}
		got = append(got, b)
	}
	if _, err := io.WriteString(c, a.then); err != nil {
		return got, err
	}
	rest, err := io.ReadAll(in)
	if err != nil {
		return got, err
	}
	return a.as(dateLine.ReplaceAll(append(got, rest...), nil))
}

var dateLine = regexp.MustCompile(`(?m)^Date: .*\r\n`)

// exact is for an answer that has to be the same to the byte.
func exact(raw []byte) ([]byte, error) { return raw, nil }

// headOnly leaves out the length and the body.
func headOnly(raw []byte) ([]byte, error) {
	head, _, whole := bytes.Cut(raw, []byte("\r\n\r\n"))
	if !whole {
		return nil, fmt.Errorf("no head: %q", raw)
	}
	return regexp.MustCompile(`(?m)^(Content-Length|X-Go-Pprof): .*\r?\n?`).ReplaceAll(head, nil), nil
}

// unchunked leaves out how the body is cut into chunks, which is a question of time.
func unchunked(raw []byte) ([]byte, error) {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return fmt.Appendf(nil, "%s %v %v %s", resp.Status, resp.Header, resp.TransferEncoding, body), err
}

func (o *ordinary) compare(t *testing.T, when string, plain, upgraded *running) {
	t.Helper()
	for _, a := range o.asks {
		want, err := plain.exchange(a)
		if err != nil {
			t.Fatalf("%s, net/http, %q: %v\n%q", when, a.send, err, want)
		}
		got, err := upgraded.exchange(a)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s, %q:\non net/http %q\non gracex   %q, %v", when, a.send, want, got, err)
		}
	}
}

// upgradeUnderLoad upgrades while clients ask everything that there is to ask. None of them asks again.
func (o *ordinary) upgradeUnderLoad(t *testing.T, r *running) {
	cfg := o.load
	cfg.Addr, cfg.Think, cfg.Timeout = r.addr, 5*time.Millisecond, patience
	if !cfg.HTTP2 {
		cfg.Any, cfg.Method, cfg.Clients, cfg.Fresh = true, http.MethodGet, 6, 2
	}
	if o.secure {
		cfg.TLS = clientTLS
	}
	run := load.Start(cfg)
	var talks, failed atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for _, a := range o.asks {
		want, err := r.exchange(a)
		must(t, err)
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				talks.Add(1)
				if got, err := r.exchange(a); err != nil || !bytes.Equal(got, want) {
					if failed.Add(1) < 5 {
						t.Errorf("%q: %q, %v", a.send, got, err)
					}
				}
			}
		})
	}
	for range upgrades {
		r.upgrade(t)
	}
	close(stop)
	wg.Wait()
	result := run.Stop()
	if result.Failed > 0 || result.Requests == 0 || talks.Load() == 0 {
		t.Error(result)
	}
	t.Logf("%d upgrades, %d talks, %v", upgrades, talks.Load(), result)
}

// startBackend is the server behind the proxy: it echoes WebSocket messages, and has a stream of events.
func startBackend(t *testing.T) (addr string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("backend\n")) })
	mux.HandleFunc("/events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 5 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			kind, b, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, b) != nil {
				return
			}
		}
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// write returns a function that writes a file.
func write(name, text string) func(dir string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600) }
}

// certificate puts one into autocert's cache, in the form that it keeps there.
func certificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"ordinary.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	b, err := x509.MarshalECPrivateKey(key)
	certs := filepath.Join(dir, "certs")
	return errors.Join(err, os.Mkdir(certs, 0o700), os.WriteFile(filepath.Join(certs, "ordinary.test"), append(
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: b}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...), 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
