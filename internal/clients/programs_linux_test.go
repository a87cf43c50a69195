package clients

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// program is a client of another project, or a proxy, that runs.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   *procgroup.Output // standard output
	errs  *procgroup.Output
	ended chan struct{} // closed when it has ended
}

func startProgram(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(name, args...), out: new(procgroup.Output), errs: new(procgroup.Output), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.errs
	must.Do(t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // ProcessState has it
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("%s wrote:\n%.5000s\n%.5000s", name, p.errs, p.out)
		}
	})
	return p
}

// running reports whether it has not ended.
func (p *program) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// await waits for its end, and returns its exit status.
func (p *program) await() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("%s does not end", p.cmd.Path)
	}
	return p.cmd.ProcessState.ExitCode()
}

// curlClient is one process of curl, which asks until the server answers 410.
type curlClient struct{ *program }

// envCurl names another curl for HTTP/2 in the clear.
const envCurl = "CLIENTS_CURL"

func curl(atATime, size int) func(*testing.T, *server) running {
	return func(t *testing.T, s *server) running {
		body := s.body(t, size)
		name := "curl"
		args := []string{
			"--silent", "--show-error", "--insecure", "--fail", "--fail-early", "--output", "/dev/null",
			"--data-binary", "@" + body, "--write-out", `%{http_code} %{http_version} %{num_connects} %{exitcode}\n`,
		}
		if s.tls != nil {
			args = append(args, "--http2")
		} else {
			args = append(args, "--http2-prior-knowledge")
			name = cmp.Or(os.Getenv(envCurl), name)
		}
		// Version 7.88 can't in the clear, whoever the server is.
		if out, err := exec.Command(name, append(args, s.url()+"/?n=[1-2]")...).CombinedOutput(); err != nil {
			t.Skipf("%s does not use a connection again: %v\n%s", name, err, out)
		}
		if atATime > 1 {
			args = append(args, "--parallel", "--parallel-max", strconv.Itoa(atATime))
		}
		return curlClient{startProgram(t, name, append(args, s.url()+"/?ends=410&d=2ms&n=[1-1000000]")...)}
	}
}

func (c curlClient) again() {}

func (c curlClient) end() (got counts) {
	const httpError = 22 // --fail
	if code := c.await(); code != httpError {
		c.t.Errorf("curl exits with status %d", code)
	}
	got.wanted = 1
	for _, m := range regexp.MustCompile(`(?m)^(\d+) (\S+) (\d+) (\d+)$`).FindAllStringSubmatch(c.out.String(), -1) {
		if m[1] == "410" {
			return got
		}
		got.requests++
		n, _ := strconv.Atoi(m[3]) // they are digits
		got.connections += n
		if m[1] != "200" || m[2] != "2" || m[4] != "0" {
			got.failed++
			c.t.Log(m[0])
		}
	}
	c.t.Error("curl has not come to its end")
	return got
}

// h2loadClient is one process of h2load. Over TLS that stays it is one for each upgrade: it does not connect again after a GOAWAY.
type h2loadClient struct {
	s        *server
	now      *program
	requests int // of each process
	body     string
	got      counts
}

// h2load is for requests of that size, so many for 50 upgrades: it must not have done them when the last upgrade is.
func h2load(size, requests int) func(*testing.T, *server) running {
	return func(t *testing.T, s *server) running {
		c := &h2loadClient{s: s, requests: max(requests, requests*s.upgrades/50), body: s.body(t, size)}
		if s.over == overStays {
			c.requests = min(requests, 20_000)
		}
		c.start(t)
		return c
	}
}

func (c *h2loadClient) start(t *testing.T) {
	c.now = startProgram(t, "h2load", "-c", "8", "-m", "4", "-n", strconv.Itoa(c.requests), "-d", c.body, c.s.url()+"/?ends=now&d=10ms")
	c.got.wanted += 8
	c.got.connections += 8 // it never connects again
}

func (c *h2loadClient) again() {
	switch {
	case c.s.over == overStays:
		c.count()
		c.start(c.now.t)
	case !c.now.running():
		c.now.t.Fatal("h2load has done its requests before all upgrades")
	}
}

var h2loadText = regexp.MustCompile(`requests: \d+ total, (\d+) started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)

func (c *h2loadClient) count() {
	if code := c.now.await(); code != 0 {
		c.now.t.Errorf("h2load exits with status %d", code)
	}
	m := h2loadText.FindStringSubmatch(c.now.out.String())
	if m == nil {
		c.now.t.Errorf("h2load wrote:\n%.2000s", c.now.out)
		return
	}
	started, _ := strconv.Atoi(m[1])
	succeeded, _ := strconv.Atoi(m[3])
	c.got.requests += started
	c.got.failed += started - succeeded
}

func (c *h2loadClient) end() counts {
	c.count()
	if c.s.over != overStays {
		return c.got
	}
	// After GOAWAY it counts requests that it does not send.
	if t := c.now.t; int(c.s.servedBefore()+c.s.served(t)) == c.got.requests-c.got.failed {
		c.got.itself = c.got.failed
	}
	c.got.note = "one process for each upgrade: it does not connect again after GOAWAY"
	return c.got
}

// haproxyClient is HAProxy, which speaks HTTP/2 with the server and repeats nothing, and this project's clients of
// HTTP/1 that do not either.
type haproxyClient struct {
	*program
	stats string
	run   *load.Run
	began int // connections to the server, in the beginning
}

const haproxyConfig = `
global
  nbthread 1
  stats socket %s mode 600
defaults
  mode http
  timeout connect 5s
  timeout client 1m
  timeout server 1m
  retries 0
  http-reuse always
listen web
  bind %s
  server s0 %s %s pool-purge-delay 1h
`

func haproxy(size int) func(*testing.T, *server) running {
	return func(t *testing.T, s *server) running { return startHAProxy(t, s, size) }
}

func startHAProxy(t *testing.T, s *server, size int) running {
	how, front := "proto h2", proctest.FreeAddr(t)
	if s.tls != nil {
		how = "ssl verify none alpn h2"
	}
	c := &haproxyClient{stats: filepath.Join(s.dir, "stats")}
	config := filepath.Join(s.dir, "haproxy.cfg")
	must.Do(t, os.WriteFile(config, fmt.Appendf(nil, haproxyConfig, c.stats, front, s.addr, how), 0o600))
	c.program = startProgram(t, "haproxy", "-db", "-f", config)
	proctest.Await(t, "HAProxy listens", func() bool {
		nc, err := net.Dial("tcp", front)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	c.run = load.Start(load.Config{Addr: front, Clients: 8, Chunked: true, BodySize: size, Timeout: patience})
	proctest.Await(t, "HAProxy has its connections", func() bool { return c.run.Snapshot().Requests > 500 })
	c.began = c.stat("connect")
	return c
}

// stat is a figure of HAProxy's of the server.
func (c *haproxyClient) stat(name string) int {
	c.t.Helper()
	nc := must.Get(net.Dial("unix", c.stats))(c.t)
	defer nc.Close()
	must.Get(io.WriteString(nc, "show stat -1 4 -1\n"))(c.t) // the servers of all proxies
	lines := must.Get(csv.NewReader(nc).ReadAll())(c.t)
	for i, column := range lines[0] {
		if column == name {
			return must.Get(strconv.Atoi(lines[1][i]))(c.t)
		}
	}
	c.t.Fatalf("HAProxy knows no %q: %q", name, lines[0])
	return 0
}

func (c *haproxyClient) again() {}

func (c *haproxyClient) end() counts {
	r := c.run.Stop()
	got := counts{requests: r.Requests, failed: r.Failed, connections: c.stat("connect"), wanted: c.began}
	got.note = fmt.Sprintf("econ %d, eresp %d, wretr %d; %d connections of its clients",
		c.stat("econ"), c.stat("eresp"), c.stat("wretr"), r.Connects)
	if r.Failed > 0 {
		c.t.Log(r)
	}
	return got
}

// chromiumClient is a page in Chromium that posts.
type chromiumClient struct {
	*program
	s *server
}

func chromium(t *testing.T, s *server) running {
	return chromiumClient{startProgram(t, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--disable-background-networking", "--disable-sync", "--ignore-certificate-errors",
		"--user-data-dir="+filepath.Join(s.dir, "chromium"), s.url()+"/page"), s}
}

func (c chromiumClient) again() {}

func (c chromiumClient) end() counts {
	c.t.Helper()
	var said struct {
		Requests, Failed, Connections int
		Protocols, Errors             []string
	}
	proctest.Await(c.t, "the page reports", func() bool {
		b, err := os.ReadFile(filepath.Join(c.s.dir, "report"))
		return err == nil && json.Unmarshal(b, &said) == nil
	})
	_ = c.cmd.Process.Signal(os.Interrupt)
	_ = c.await()
	return counts{
		requests: said.Requests, failed: said.Failed, connections: said.Connections,
		note: fmt.Sprint(strings.Join(said.Protocols, " "), " ", strings.Join(said.Errors, "; ")),
	}
}
