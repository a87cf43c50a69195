//go:build unix

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracex-go/gracex/examples/internal/exampletest"
	"github.com/gracex-go/gracex/examples/internal/latency"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// npmWS is the package of npm by which Node opens WebSockets.
const npmWS = "ws@8.23.0"

// TestEachPeer has clients that are not written in Go. Both offer compression with a window that goes on from message to
// message. crowd.js has what they do.
func TestEachPeer(t *testing.T) {
	if !*each {
		t.Skip("-ws.each, which \"make websockets\" sets, asks for it")
	}
	t.Run("npm ws", func(t *testing.T) {
		dir := t.TempDir()
		install := exec.Command("npm", "install", "--no-audit", "--no-fund", "--prefix", dir, npmWS)
		if out, err := install.CombinedOutput(); err != nil {
			t.Fatalf("npm: %v\n%s", err, out)
		}
		here := must.Get(os.Getwd())(t)
		peerThroughUpgrades(t, func(p *exampletest.Program, control string) *exec.Cmd {
			cmd := exec.Command("node", "-e", `
				const [base, sockets, control] = process.argv.slice(1);
				require(process.env.CROWD)({ WebSocket: require('ws'), base, sockets: +sockets, control });`,
				"ws://"+p.Addr, strconv.Itoa(*sockets), control)
			cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"), "CROWD="+filepath.Join(here, "crowd.js"))
			return cmd
		})
	})
	t.Run("Chromium", func(t *testing.T) {
		dir := t.TempDir()
		peerThroughUpgrades(t, func(p *exampletest.Program, control string) *exec.Cmd {
			return exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
				"--disable-background-networking", "--disable-sync", "--user-data-dir="+dir,
				"http://"+p.Addr+"/?sockets="+strconv.Itoa(*sockets)+"&control="+control)
		})
	})
}

func peerThroughUpgrades(t *testing.T, command func(p *exampletest.Program, control string) *exec.Cmd) {
	t.Helper()
	p, took := start(t), &latency.Log{}
	c := &peer{t: t, took: took, stop: make(chan struct{}), result: make(chan []byte, 1)}
	control := httptest.NewServer(c)
	t.Cleanup(control.Close)
	proctest.Start(t, command(p, control.URL))
	throughUpgrades(t, p, c, took)
}

// peer is a crowd in another process, in which crowd.js runs.
type peer struct {
	t      *testing.T
	took   *latency.Log
	fewest atomic.Int64
	stop   chan struct{}
	result chan []byte
}

// ServeHTTP is what crowd.js talks to.
func (c *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	switch r.URL.Path {
	case "/stop":
		select {
		case <-c.stop:
		case <-r.Context().Done():
		}
	case "/least":
		if n, err := strconv.ParseInt(string(body), 10, 64); err == nil {
			c.fewest.Store(n)
		}
	case "/wrong":
		c.t.Errorf("%s", body)
	case "/result":
		c.result <- body
	}
}

func (c *peer) least() int64 { return c.fewest.Load() }

func (c *peer) finish() counts {
	close(c.stop)
	if c.t.Failed() {
		return counts{}
	}
	var r struct {
		counts
		Latencies [][2]float64 // when it was sent, and how long it took, in milliseconds
	}
	select {
	case body := <-c.result:
		must.Do(c.t, json.Unmarshal(body, &r))
	case <-time.After(patience):
		c.t.Fatal("the clients do not end")
	}
	ms := float64(time.Millisecond)
	for _, l := range r.Latencies {
		c.took.Add(time.UnixMilli(int64(l[0])), time.Duration(l[1]*ms))
	}
	return r.counts
}
