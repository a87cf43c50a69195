//go:build unix

package core_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
)

// placeAlone puts a program of testdata at path. It is in no module, and so not of this one, and knows nothing of
// gracex.
func placeAlone(t testing.TB, name, path string) {
	t.Helper()
	proctest.BuildAlone(t, path, filepath.Join("testdata", name))
}

// startPredecessor starts a program that speaks the protocol, on addresses of its own. It
// returns the process that serves, and the addresses.
func startPredecessor(t *testing.T, protocol string, listeners int, env ...string) (a *app, serves event, addrs []string) {
	t.Helper()
	a = prepare(t)
	placeAlone(t, "predecessor", filepath.Join(a.dir, "app"))
	a.env = append([]string{"PREDECESSOR=" + protocol}, env...)
	var args []string
	for range listeners {
		args = append(args, "-listen", "tcp,127.0.0.1:0")
	}
	a.start("app", "./app", args...)
	serves = a.expect("predecessor", 0)
	addrs = serves.Addrs
	if serves.PID != a.cmd.Process.Pid {
		addrs = a.expect("master", 0).Addrs
	}
	// The program asks for its listeners in another order.
	must(t, os.WriteFile(filepath.Join(a.dir, "listen"), []byte(reversed(addrs)), 0o600))
	return a, serves, addrs
}

// expectLeft waits until the predecessor's process is gone. Clients come meanwhile: without one its Accept would
// not end, because its sockets are blocking (golang/go#29277).
func (a *app) expectLeft(addrs []string) {
	a.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var client sync.WaitGroup
	client.Go(func() {
		for ctx.Err() == nil {
			for _, addr := range addrs {
				_, _ = get(addr, "/stats") // the last one may come to nobody
			}
		}
	})
	defer client.Wait()
	defer stop()
	a.expect("left", 0)
}

// blame tells what a predecessor cuts of its own from what is lost. The first clients keep their connections.
type blame struct {
	keep        int
	predecessor string // its process number

	mu     sync.Mutex
	last   map[int]string // by whom a client was answered last
	its    int            // connections that the predecessor had served and has cut
	others []error        // everything else
}

func (b *blame) observe(s load.Sample) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case s.Err == nil:
		b.last[s.Client] = s.Server.PID
	case s.Client < b.keep && s.Reused && b.last[s.Client] == b.predecessor:
		b.its++
	default:
		b.others = append(b.others, s.Err)
	}
}

// loads runs keep-alive and fresh load on all addresses.
func loads(addrs []string, predecessor int) (runs []*load.Run, blames []*blame) {
	for _, addr := range addrs {
		b := &blame{keep: 6, predecessor: itoa(predecessor), last: make(map[int]string)}
		blames = append(blames, b)
		runs = append(runs, load.Start(load.Config{Addr: addr, Clients: b.keep, Fresh: 4, Observe: b.observe}))
	}
	return runs, blames
}

// judge stops the load: what the predecessor has cut of its own keep-alive connections is shown, anything
// else is a failure.
func judge(t *testing.T, runs []*load.Run, blames []*blame) {
	t.Helper()
	for i, run := range runs {
		res := run.Stop()
		t.Logf("%d requests; cut by the predecessor of its own keep-alive connections: %d; lost: %d", res.Requests, blames[i].its, len(blames[i].others))
		if len(blames[i].others) > 0 {
			t.Errorf("%v", errors.Join(blames[i].others[:min(len(blames[i].others), 5)]...))
		}
		if res.Requests == 0 {
			t.Error("there was no load")
		}
	}
}

// TestParents: a program on gracex replaces one that speaks another protocol, by that one's
// signal: it takes over all listeners, whatever their order, the old one goes, and from then on upgrades are gracex's own and lose
// nothing.
func TestParents(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		protocol  string
		sig       syscall.Signal
		listeners int
	}{
		"upgrade":       {"upgrade", syscall.SIGHUP, 1},
		"endless":       {"endless", syscall.SIGHUP, 1},
		"endless, two":  {"endless", syscall.SIGHUP, 2},
		"grace":         {"grace", syscall.SIGUSR2, 2},
		"gracehttp":     {"gracehttp", syscall.SIGUSR2, 1},
		"tableflip":     {"tableflip", syscall.SIGHUP, 1},
		"tableflip,two": {"tableflip", syscall.SIGHUP, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, old, addrs := startPredecessor(t, c.protocol, c.listeners)
			runs, blames := loads(addrs, old.PID)
			for _, run := range runs {
				awaitServed(t, run, load.Server{PID: itoa(old.PID), Generation: "0"})
			}
			deploy(t, a, func(path string) { install(t, path) })
			a.signal(old.PID, c.sig)
			first := a.expect("ready", 0)
			slices.Reverse(first.Addrs)
			if first.Gen != 1 || !slices.Equal(first.Addrs, addrs) || strings.Contains(fmt.Sprint(first.Args), "upgrade") {
				t.Errorf("generation %d on %v with %q, want %v", first.Gen, first.Addrs, first.Args, addrs)
			}
			a.expect("left", 0)
			a.expectLog("the old process is gone", 1)
			for _, run := range runs {
				awaitServed(t, run, load.Server{PID: itoa(first.PID), Generation: "1"})
			}
			judge(t, runs, blames)
			if out, err := get(addrs[0], "/child"); err != nil || strings.Contains(out, "ENDLESS") || strings.Contains(out, "LISTEN_") || strings.Contains(out, "GRACEFUL=") || strings.Contains(out, "TABLEFLIP") {
				t.Errorf("a child finds the variables: %s %v", out, err)
			}

			runs, blames = loads(addrs, 0)
			last := first
			for i := range 3 {
				a.signal(last.PID, syscall.SIGUSR2)
				if last = a.expect("ready", i+1); last.Gen != i+2 {
					t.Errorf("generation %d after %d upgrades", last.Gen, i+1)
				}
				for _, run := range runs {
					awaitServed(t, run, load.Server{PID: itoa(last.PID), Generation: itoa(last.Gen)})
				}
			}
			judge(t, runs, blames)
			a.signal(last.PID, syscall.SIGTERM)
			a.expectGone()
		})
	}
}

// reversed is the file "listen" of the app, with the addresses in the opposite order.
func reversed(addrs []string) string {
	var out []string
	for _, addr := range slices.Backward(addrs) {
		out = append(out, "tcp,"+addr)
	}
	return strings.Join(out, "\n")
}

// TestMasters: a program on gracex is the next worker of a master that starts the versions
// itself. Each reload loses nothing; the worker starts no version of its own.
func TestMasters(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		protocol string
		sig      syscall.Signal
		env      []string
		remedy   string
	}{
		"graceful":    {"graceful", syscall.SIGHUP, nil, "graceful's master (pid %d) starts the new versions: kill -HUP %[1]d"},
		"overseer":    {"overseer", syscall.SIGUSR2, nil, "overseer's master (pid %d) starts the new versions: kill -USR2 %[1]d"},
		"starter":     {"starter", syscall.SIGHUP, nil, "start_server (pid %d) starts the new versions: kill -HUP %[1]d"},
		"einhorn":     {"einhorn", syscall.SIGHUP, nil, "einhorn (pid %d) starts the new versions: einhornsh -e upgrade"},
		"einhorn, -g": {"einhorn", syscall.SIGHUP, []string{"EINHORN_G=1"}, "einhorn (pid %d)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, old, addrs := startPredecessor(t, c.protocol, 2, c.env...)
			master := a.cmd.Process.Pid
			predecessor := old.PID
			for i := range 4 {
				runs, blames := loads(addrs, predecessor)
				for _, run := range runs {
					awaitServed(t, run, load.Server{PID: itoa(old.PID), Generation: "0"})
				}
				var quiet *quietClient
				if bySIGTERM := c.protocol == "starter" || c.protocol == "graceful"; bySIGTERM && i == 3 && runtime.GOOS == "linux" {
					quiet = dialQuietly(t, addrs[0], old.PID)
				}
				if i == 0 {
					deploy(t, a, func(path string) { install(t, path) })
				}
				a.signal(master, c.sig)
				next := a.expect("ready", i)
				for _, run := range runs {
					awaitServed(t, run, load.Server{PID: itoa(next.PID), Generation: "0"})
				}
				if quiet != nil {
					a.expectLog("to make room", i)
					time.Sleep(timing.StopLinger + 10*timing.IdleTick) // for longer than a stop lets a client be idle
					quiet.ask(t, old.PID)
				}
				if i == 0 {
					a.expect("left", 0)
				} else {
					if end := a.expect("end", i-1); end.PID != old.PID || end.Err != "" {
						t.Errorf("process %d ended with %q", end.PID, end.Err)
					}
				}
				judge(t, runs, blames)
				old, predecessor = next, 0
			}
			if err, want := a.upgrade(addrs[0]), fmt.Sprintf(c.remedy, master); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("an upgrade of its own: %v, want %q", err, want)
			}
			if out, err := get(addrs[0], "/child"); err != nil || strings.Contains(out, "OVERSEER_") || strings.Contains(out, "SERVER_STARTER") || strings.Contains(out, "GRACEFUL_") || strings.Contains(out, "EINHORN_FD") {
				t.Errorf("a child finds the variables: %s %v", out, err)
			}
			a.signal(master, syscall.SIGTERM)
			if end := a.expect("end", 3); end.Err != "" {
				t.Errorf("the stop ended with %s", end.Err)
			}
			a.expectGone()
			for _, ev := range a.all() {
				if ev.Event == "respawned" {
					t.Error("the master has replaced a worker that it knew")
				}
			}
		})
	}
}

// quietClient keeps a connection on which it says nothing for a while.
type quietClient struct {
	c  net.Conn
	in *bufio.Reader
}

// dialQuietly connects to the process, and asks once.
func dialQuietly(t *testing.T, addr string, pid int) *quietClient {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	q := &quietClient{c, bufio.NewReader(c)}
	q.ask(t, pid)
	return q
}

func (q *quietClient) ask(t *testing.T, pid int) {
	t.Helper()
	q.begin(t)
	q.finish(t, pid)
}

// begin sends a part of a request, and finish the rest. The process that has accepted it answers.
func (q *quietClient) begin(t *testing.T) {
	t.Helper()
	_, err := io.WriteString(q.c, "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\na")
	must(t, err)
}

func (q *quietClient) finish(t *testing.T, pid int) {
	t.Helper()
	_, err := io.WriteString(q.c, "b")
	must(t, err)
	res, err := http.ReadResponse(q.in, nil)
	if err != nil {
		t.Fatalf("a client that had been quiet: %v", err)
	}
	res.Body.Close()
	if got := res.Header.Get("X-Pid"); got != itoa(pid) {
		t.Errorf("answered by %s, want %d", got, pid)
	}
}

// TestMasterDies: where a worker ends with its master, it stops gracefully.
func TestMasterDies(t *testing.T) {
	t.Parallel()
	for protocol, sig := range map[string]syscall.Signal{"graceful": syscall.SIGHUP, "overseer": syscall.SIGUSR2} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			a, _, addrs := startPredecessor(t, protocol, 1)
			deploy(t, a, func(path string) { install(t, path) })
			a.signal(a.cmd.Process.Pid, sig)
			a.expect("ready", 0)
			a.expectLeft(addrs) // graceful's is told by the new one, if the two have one parent
			a.signal(a.cmd.Process.Pid, syscall.SIGKILL)
			if end := a.expect("end", 0); end.Err != "" {
				t.Errorf("it ended with %s", end.Err)
			}
			a.expectLog("the master is gone", 1)
			a.expectGone()
		})
	}
}
