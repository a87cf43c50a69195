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

// TestHAProxy_DoesNotNoticeUpgrades: two instances behind a real one that does not retry are upgraded again and again.
// Its clients lose nothing. It takes an instance out for a restart.
func TestHAProxy_DoesNotNoticeUpgrades(t *testing.T) {
	t.Parallel()
	addr, servers := startHAProxy(t, "127.0.0.2:0", "127.0.0.3:0")
	run := load.Start(load.Config{Addr: addr, Clients: 16, Fresh: 8, Think: 5 * time.Millisecond, Timeout: patience})
	defer run.Stop()
	for round := range 2 {
		for _, s := range servers {
			awaitBy(t, s.current, run)
			for range 5 {
				s.current = s.next(s.current)
				awaitBy(t, s.current, run)
			}
		}
		for _, s := range servers {
			s.restart()
			awaitBy(t, s.current, run)
			if got, want := s.stat("chkdown"), fmt.Sprint(round+1); got != want {
				t.Errorf("HAProxy has taken %s out %s times, want %s: for its restarts", s.name, got, want)
			}
		}
	}
	expectLossless(t, run)
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

// startHAProxy starts an instance on each address and HAProxy in front of them, at addr.
func startHAProxy(t *testing.T, addrs ...string) (addr string, servers []*backend) {
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
	config := fmt.Sprintf(haproxyConfig, a.path("stats"))
	for i, addr := range addrs {
		s := &backend{t: t, stats: a.path("stats"), name: fmt.Sprint("s", i), addr: addr}
		s.run()
		config += fmt.Sprintf("  server %s %s\n", s.name, s.addr)
		servers = append(servers, s)
	}
	a.write("haproxy.cfg", config)
	f, addr := opened(t, "tcp", "127.0.0.1:0")
	cmd := exec.Command(path, "-db", "-f", a.path("haproxy.cfg"))
	cmd.ExtraFiles = []*os.File{f}
	proctest.Start(t, cmd)
	for _, s := range servers {
		s.await("UP")
	}
	return addr, servers
}

// backend is an instance behind HAProxy.
type backend struct {
	*app       // of run
	t          *testing.T
	stats      string // the path of HAProxy's socket
	name, addr string
	current    event // the ready of its current generation
}

func (s *backend) run() {
	s.t.Helper()
	s.app, s.current = serving(s.t, "-prestop", "10m", "-listen", "tcp,"+s.addr)
	s.addr = s.current.Addrs[0]
}

// restart stops the instance and starts it again.
func (s *backend) restart() {
	s.t.Helper()
	s.signal(s.current.PID, syscall.SIGTERM)
	s.await("DOWN")
	s.stopAll(s.current.PID) // ends the delay
	s.expect("end", s.current.Gen)
	s.run()
	s.await("UP")
}

// await waits until HAProxy has the instance for up or down.
func (s *backend) await(status string) {
	s.t.Helper()
	proctest.Await(s.t, "HAProxy says that "+s.name+" is "+status, func() bool {
		return s.stat("check_status") != "" && s.stat("status") == status
	})
}

// stat is what HAProxy says of the instance in a column of its statistics (management
// guide, section 9.1), empty before it runs.
func (s *backend) stat(column string) string {
	s.t.Helper()
	c, err := net.Dial("unix", s.stats)
	if err != nil {
		return ""
	}
	defer c.Close()
	must(s.t, c.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(c, "show stat\n")
	must(s.t, err)
	rows, err := csv.NewReader(c).ReadAll()
	must(s.t, err)
	at := slices.IndexFunc(rows, func(row []string) bool { return row[1] == s.name })
	return rows[at][slices.Index(rows[0], column)]
}
