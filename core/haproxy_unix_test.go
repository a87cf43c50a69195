//go:build unix

package core_test

import (
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
)

// envHAProxy makes the test fail where there is no HAProxy. Without it, it is
// skipped there.
const envHAProxy = "CORE_TEST_HAPROXY"

// TestHAProxy_DoesNotNoticeUpgrades: two instances behind a real HAProxy that does not retry, upgraded again
// and again and restarted one after the other. Its clients lose nothing; HAProxy
// takes an instance out for a restart.
func TestHAProxy_DoesNotNoticeUpgrades(t *testing.T) {
	t.Parallel()
	p := startHAProxy(t, "127.0.0.2:0", "127.0.0.3:0")
	run := load.Start(load.Config{Addr: p.addr, Clients: 16, Fresh: 8, Think: 5 * time.Millisecond, Timeout: patience})
	defer run.Stop()
	for round := range 2 {
		for _, s := range p.servers {
			p.served(run, s)
			for range 5 {
				s.current = s.upgradeBySignal(s.current.PID)
				p.served(run, s)
			}
		}
		for _, s := range p.servers {
			p.restart(s)
			p.served(run, s)
			if got, want := p.stat(s, "chkdown"), fmt.Sprint(round+1); got != want {
				t.Errorf("HAProxy has taken %s out %s times, want %s: for its restarts", s.name, got, want)
			}
		}
	}
	expectLossless(t, run)
}

// backend is an instance behind HAProxy.
type backend struct {
	*app
	name, addr string
	current    event // the ready of its current generation
}

// run starts the instance.
func (b *backend) run(t *testing.T) {
	t.Helper()
	b.app, b.current = started(t, "-prestop", "10m", "-listen", "tcp,"+b.addr)
	b.addr = b.current.Addrs[0]
}

// haproxy is a running HAProxy.
type haproxy struct {
	t       *testing.T
	addr    string // of its clients
	stats   string // its socket's path
	servers []*backend
}

const haproxyConfig = `
global
  stats socket %s mode 600
defaults
  mode http
  timeout connect 5s
  timeout client 1m
  timeout server 1m
  timeout check 1m
  retries 0
listen web
  bind fd@3
  balance roundrobin
  option httpchk GET /readyz
  default-server check inter 50ms fall 2 rise 1
`

// startHAProxy starts an instance on each address and HAProxy in front of them.
func startHAProxy(t *testing.T, addrs ...string) *haproxy {
	t.Helper()
	path, err := exec.LookPath("haproxy")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/haproxy") // which may not be in a user's PATH
	}
	if err != nil && os.Getenv(envHAProxy) == "" {
		t.Skipf("%v; on Debian, apt-get install haproxy", err)
	}
	must(t, err)
	a := prepare(t)
	p := &haproxy{t: t, stats: a.path("stats")}
	config := fmt.Sprintf(haproxyConfig, p.stats)
	for i, addr := range addrs {
		b := &backend{name: fmt.Sprint("s", i), addr: addr}
		b.run(t)
		config += fmt.Sprintf("  server %s %s\n", b.name, b.addr)
		p.servers = append(p.servers, b)
	}
	a.write("haproxy.cfg", config)
	f, addr := opened(t, "tcp", "127.0.0.1:0")
	p.addr = addr
	cmd := exec.Command(path, "-db", "-f", a.path("haproxy.cfg"))
	cmd.ExtraFiles = []*os.File{f}
	proctest.Start(t, cmd)
	for _, s := range p.servers {
		p.await(s, "UP")
	}
	return p
}

// stat is what HAProxy says of the server in a column of its statistics (management
// guide, section 9.1), empty before it runs.
func (p *haproxy) stat(s *backend, column string) string {
	p.t.Helper()
	c, err := net.Dial("unix", p.stats)
	if err != nil {
		return ""
	}
	defer c.Close()
	must(p.t, c.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(c, "show stat\n")
	must(p.t, err)
	rows, err := csv.NewReader(c).ReadAll()
	must(p.t, err)
	at := slices.IndexFunc(rows, func(row []string) bool { return row[1] == s.name })
	return rows[at][slices.Index(rows[0], column)]
}

// await waits until HAProxy has the server for up or down.
func (p *haproxy) await(s *backend, status string) {
	p.t.Helper()
	proctest.Await(p.t, "HAProxy says that "+s.name+" is "+status, func() bool {
		return p.stat(s, "check_status") != "" && p.stat(s, "status") == status
	})
}

// served waits until clients were served by the server's current generation.
func (p *haproxy) served(run *load.Run, s *backend) {
	p.t.Helper()
	awaitServed(p.t, run, load.Server{Generation: itoa(s.current.Gen), PID: itoa(s.current.PID)})
}

// restart stops the instance and starts it again.
func (p *haproxy) restart(s *backend) {
	p.t.Helper()
	s.signal(s.current.PID, syscall.SIGTERM)
	p.await(s, "DOWN")
	s.signal(s.current.PID, syscall.SIGTERM) // ends the delay
	s.expect("end", s.current.Gen)
	s.expectGone()
	s.run(p.t)
	p.await(s, "UP")
}
