//go:build unix

package endless_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/compat/endless"
	"github.com/gracex-go/gracex/core/compat/internal/compattest"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

func TestMain(m *testing.M) { os.Exit(proctest.Main(m)) }

func TestSimple(t *testing.T) {
	t.Parallel()
	p := compattest.Start(t, compattest.Build(t, "simple"), 1)
	p.Upgrades(syscall.SIGHUP)
	p.AwaitLog("the server has stopped", 3)
}

// TestNohup: SIGHUP upgrades a program that was started with it ignored, as it does with endless.
func TestNohup(t *testing.T) {
	t.Parallel()
	program := compattest.Build(t, "simple")
	script := filepath.Join(filepath.Dir(program), "nohup")
	must.Do(t, os.WriteFile(script, []byte("#!/bin/sh\ntrap '' HUP\nexec ./simple \"$@\"\n"), 0o700))
	p := compattest.Start(t, script, 1)
	p.Upgrades(syscall.SIGHUP)
}

// TestMultiPort: servers of one process that are started one by one are upgraded together, although the first one
// comes late.
func TestMultiPort(t *testing.T) {
	t.Parallel()
	p := compattest.Start(t, compattest.Build(t, "multiport"), 2)
	p.Upgrades(syscall.SIGHUP)
	p.AwaitLog("all servers have stopped", 3)
	if strings.Contains(p.Log.String(), "not used any more") {
		t.Error("a listener was closed that a server was about to claim")
	}
}

// TestOneServerFails: a new version of which one server does not start changes nothing.
func TestOneServerFails(t *testing.T) {
	t.Parallel()
	p := compattest.Start(t, compattest.Build(t, "multiport"), 2)
	// From now on the second one asks for an address that is none.
	must.Do(t, os.WriteFile(filepath.Join(p.Cmd.Dir, "other"), []byte("127.0.0.1:no-such-port"), 0o600))
	p.Signal(syscall.SIGHUP)
	p.AwaitLog("upgrade failed; this process serves on", 1)
	for _, addr := range []string{p.Addr, p.Other} {
		ask(t, addr)
	}
	p.Signal(syscall.SIGTERM)
	p.AwaitEnd()
}

func ask(t *testing.T, addr string) {
	t.Helper()
	must.Get(load.Ask(load.Config{Addr: addr, Method: http.MethodGet, Path: "/hello"}, ""))(t)
}

// TestHooks: hooks of signals run before and after what a signal does.
func TestHooks(t *testing.T) {
	t.Parallel()
	p := compattest.Start(t, compattest.Build(t, "hook"), 1)
	p.AwaitLog("begin on "+p.Addr, 1)
	p.Signal(syscall.SIGUSR1)
	p.AwaitLog("after SIGUSR1", 1)
	p.Signal(syscall.SIGUSR2) // which does nothing to one that does not drain
	p.Upgrade(syscall.SIGHUP)
	log := p.Log.String()
	if before, after := strings.Index(log, "before SIGUSR1"), strings.Index(log, "after SIGUSR1"); before < 0 || before > after {
		t.Error("the hooks ran in the wrong order")
	}
	if strings.Count(log, "before SIGHUP") != 1 {
		t.Error("the hook of SIGHUP did not run once")
	}
	p.Signal(syscall.SIGTERM)
	p.AwaitEnd()
}

// TestHammer: a drain is cut after DefaultHammerTime, and by SIGUSR2.
func TestHammer(t *testing.T) {
	t.Parallel()
	program := compattest.Build(t, "hook")
	for name, c := range map[string]struct {
		hammer string
		more   []syscall.Signal
	}{
		"time":   {"50ms", nil},
		"signal": {"1h", []syscall.Signal{syscall.SIGUSR2}},
		"never":  {"-1s", []syscall.Signal{syscall.SIGUSR2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := compattest.Start(t, program, 1, "-hammer", c.hammer)
			c2 := must.Get(net.Dial("tcp", p.Addr))(t)
			defer c2.Close()
			fmt.Fprintf(c2, "GET /hello?d=1h HTTP/1.1\r\nHost: x\r\n\r\n")
			// A connection that comes later is accepted later.
			ask(t, p.Addr)
			p.Signal(syscall.SIGTERM)
			p.AwaitLog("draining", 1)
			for _, sig := range c.more {
				p.Signal(sig)
			}
			p.AwaitEnd()
			p.AwaitLog("drain cut short", 1)
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	path := compattest.Build(t, "simple")
	certificate(t, filepath.Dir(path))
	p := compattest.Start(t, path, 1, "-tls")
	ask := func() {
		t.Helper()
		// It is offered HTTP/2, and has to take HTTP/1.1.
		cfg := load.Config{Addr: p.Addr, TLS: &tls.Config{InsecureSkipVerify: true}, Fresh: 1}
		res := must.Get((&http.Client{Transport: load.NewTransport(cfg)}).Get("https://" + p.Addr + "/hello"))(t)
		res.Body.Close()
	}
	ask()
	p.Upgrade(syscall.SIGHUP)
	ask()
	p.Signal(syscall.SIGTERM)
	p.AwaitEnd()
}

// certificate writes one for nobody in particular.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key := must.Get(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert := must.Get(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))(t)
	der := must.Get(x509.MarshalPKCS8PrivateKey(key))(t)
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: der},
	} {
		must.Do(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	srv := endless.NewServer("127.0.0.1:0", nil)
	for want, err := range map[string]error{
		"neither PRE_SIGNAL nor POST_SIGNAL": srv.RegisterSignalHook(7, syscall.SIGHUP, func() {}),
		"has no hooks; those that have are":  srv.RegisterSignalHook(endless.PRE_SIGNAL, syscall.SIGWINCH, func() {}),
		"needs an EndlessListener":           srv.Serve(),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
