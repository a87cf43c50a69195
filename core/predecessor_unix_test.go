//go:build unix

package core_test

import (
	"errors"
	"fmt"
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
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// placeAlone puts a program of testdata at path, which is in no module and knows nothing of gracex.
func placeAlone(t testing.TB, name, path string) {
	t.Helper()
	proctest.BuildAlone(t, path, filepath.Join("testdata", name))
}

// startPredecessor starts a program that speaks the protocol, on addresses of its own. It
// returns the process that serves, and the addresses.
func startPredecessor(t *testing.T, protocol string, listeners int, env ...string) (*app, event, []string) {
	t.Helper()
	a := prepare(t)
	placeAlone(t, "predecessor", a.path("app"))
	a.env = append([]string{"PREDECESSOR=" + protocol}, env...)
	a.start("app", "./app", slices.Repeat([]string{"-listen", "tcp,127.0.0.1:0"}, listeners)...)
	serves := a.expect("predecessor", 0)
	addrs := serves.Addrs
	if serves.PID != a.cmd.Process.Pid {
		addrs = a.expect("master", 0).Addrs
	}
	reversed := slices.Clone(addrs) // the program asks for its listeners in another order
	slices.Reverse(reversed)
	a.write("listen", "tcp,"+strings.Join(reversed, " tcp,"))
	return a, serves, addrs
}

// expectLeft waits until the predecessor's process is gone. Clients come meanwhile: without one its Accept would
// not end, because its sockets are blocking (golang/go#29277). The last one may come to nobody.
func (a *app) expectLeft(addrs []string) {
	a.t.Helper()
	for _, addr := range addrs {
		cfg := load.Config{Network: "tcp", Addr: addr, Fresh: 1, Think: time.Millisecond}
		if filepath.IsAbs(addr) {
			cfg.Network = "unix"
		}
		defer load.Start(cfg).Stop()
	}
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
		res, others := run.Stop(), blames[i].others
		t.Logf("%d requests; %d of its own keep-alive connections cut by the predecessor; %d lost",
			res.Requests, blames[i].its, len(others))
		if len(others) > 0 {
			t.Error(errors.Join(others[:min(len(others), 5)]...))
		}
		if res.Requests == 0 {
			t.Error("there was no load")
		}
	}
}

// expectNoVariables checks that a child of the process finds no variable of a predecessor.
func expectNoVariables(t *testing.T, addr string) {
	t.Helper()
	out, err := get(addr, "/child")
	must(t, err)
	for _, name := range []string{
		"ENDLESS", "LISTEN_", "GRACEFUL=", "TABLEFLIP", "OVERSEER_", "SERVER_STARTER", "GRACEFUL_", "EINHORN_FD",
	} {
		if strings.Contains(out, name) {
			t.Errorf("a child finds %s: %s", name, out)
		}
	}
}

// TestParent_IsReplaced signals a program that speaks another protocol. The new process takes over all its listeners,
// whatever their order, and from then on upgrades are gracex's own and lose nothing.
func TestParent_IsReplaced(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		protocol  string
		sig       syscall.Signal
		listeners int
	}{
		"upgrade":        {"upgrade", syscall.SIGHUP, 1},
		"endless":        {"endless", syscall.SIGHUP, 1},
		"endless, two":   {"endless", syscall.SIGHUP, 2},
		"grace":          {"grace", syscall.SIGUSR2, 2},
		"gracehttp":      {"gracehttp", syscall.SIGUSR2, 1},
		"tableflip":      {"tableflip", syscall.SIGHUP, 1},
		"tableflip, two": {"tableflip", syscall.SIGHUP, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, old, addrs := startPredecessor(t, c.protocol, c.listeners)
			runs, blames := loads(addrs, old.PID)
			awaitBy(t, old, runs...)
			deployApp(t, a)
			a.signal(old.PID, c.sig)
			last := a.expect("ready", 0)
			slices.Reverse(last.Addrs)
			if last.Gen != 1 || !slices.Equal(last.Addrs, addrs) || strings.Contains(fmt.Sprint(last.Args), "upgrade") {
				t.Errorf("generation %d on %v with %q, want %v", last.Gen, last.Addrs, last.Args, addrs)
			}
			a.expect("left", 0)
			a.expectLog("the old process is gone", 1)
			awaitBy(t, last, runs...)
			judge(t, runs, blames)
			expectNoVariables(t, addrs[0])

			runs, blames = loads(addrs, 0)
			for range 3 {
				last = a.next(last)
				awaitBy(t, last, runs...)
			}
			judge(t, runs, blames)
			a.stopAll(last.PID)
		})
	}
}

// TestMaster_ReloadsLoseNothing with workers on gracex, which start no version of their own.
func TestMaster_ReloadsLoseNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		protocol string
		sig      syscall.Signal
		env      []string
		who, how string // starts the new versions
	}{
		"graceful":    {"graceful", syscall.SIGHUP, nil, "graceful's master", "kill -HUP PID"},
		"overseer":    {"overseer", syscall.SIGUSR2, nil, "overseer's master", "kill -USR2 PID"},
		"starter":     {"starter", syscall.SIGHUP, nil, "start_server", "kill -HUP PID"},
		"einhorn":     {"einhorn", syscall.SIGHUP, nil, "einhorn", "einhornsh -e upgrade"},
		"einhorn, -g": {"einhorn", syscall.SIGHUP, []string{"EINHORN_G=1"}, "einhorn", "einhornsh -e upgrade"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, old, addrs := startPredecessor(t, c.protocol, 2, c.env...)
			master := a.cmd.Process.Pid
			predecessor := old.PID
			for i := range 4 {
				runs, blames := loads(addrs, predecessor)
				awaitBy(t, old, runs...)
				var quiet *quietClient
				bySIGTERM := c.protocol == "starter" || c.protocol == "graceful"
				if bySIGTERM && i == 3 && runtime.GOOS == "linux" {
					quiet = dialQuietly(t, addrs[0], old.PID)
				}
				if i == 0 {
					deployApp(t, a)
				}
				a.signal(master, c.sig)
				next := a.expect("ready", i)
				awaitBy(t, next, runs...)
				if quiet != nil {
					a.expectLog("to make room", i)
					time.Sleep(timing.StopLinger + 10*timing.IdleTick) // longer than a stop lets a client be idle
					quiet.ask(t, old.PID)
				}
				if i == 0 {
					a.expect("left", 0)
				} else if end := a.endsWell(i - 1); end.PID != old.PID {
					t.Errorf("process %d has ended, want %d", end.PID, old.PID)
				}
				judge(t, runs, blames)
				old, predecessor = next, 0
			}
			expectError(t, a.upgrade(addrs[0]), fmt.Sprintf("%s (pid %d) starts the new versions: ", c.who, master),
				strings.ReplaceAll(c.how, "PID", itoa(master)))
			expectNoVariables(t, addrs[0])
			a.signal(master, syscall.SIGTERM)
			a.endsWell(3)
			a.expectGone()
			if len(a.of("respawned")) > 0 {
				t.Error("the master has replaced a worker that it knew")
			}
		})
	}
}

func TestMaster_WorkerStopsWithIt(t *testing.T) {
	t.Parallel()
	for protocol, sig := range map[string]syscall.Signal{"graceful": syscall.SIGHUP, "overseer": syscall.SIGUSR2} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			a, _, addrs := startPredecessor(t, protocol, 1)
			deployApp(t, a)
			a.signal(a.cmd.Process.Pid, sig)
			a.expect("ready", 0)
			a.expectLeft(addrs) // graceful's is told by the new one, if the two have one parent
			a.signal(a.cmd.Process.Pid, syscall.SIGKILL)
			a.endsWell(0)
			a.expectLog("the master is gone", 1)
			a.expectGone()
		})
	}
}

// TestMaster_ReloadIsNoImpatience has start_server send SIGTERM to every worker that is not the current one, at
// each reload. One that makes room already answers all the same what it has accepted.
func TestMaster_ReloadIsNoImpatience(t *testing.T) {
	t.Parallel()
	a, _, addrs := startPredecessor(t, "starter", 1)
	master := a.cmd.Process.Pid
	deployApp(t, a)
	a.signal(master, syscall.SIGHUP)
	first := a.expect("ready", 0)
	a.expect("signalled", 0)
	a.expectLeft(addrs)

	client := dialQuietly(t, addrs[0], first.PID)
	client.begin(t)
	for i := range 2 {
		a.signal(master, syscall.SIGHUP)
		a.expect("ready", i+1)
		a.expect("signalled", i+1)
	}
	time.Sleep(10 * timing.IdleTick) // for longer than it takes to cut
	client.finish(t, first.PID)
	client.c.Close()
	a.stopAll(master)
}

// TestParent_ActivatedPassesItsSockets has a grace program that systemd has given its sockets. It passes LISTEN_PID
// on as it was, which is the number of the first process of that program, and LISTEN_FDS as it is now.
func TestParent_ActivatedPassesItsSockets(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("who the parent is can't be told here")
	}
	for name, env := range map[string]string{
		"by the parent": "PREDECESSOR_ACTIVATED=1", // LISTEN_PID is its own number
		"before":        "LISTEN_PID=4194000",      // of one that is gone since
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, old, addrs := startPredecessor(t, "grace", 1, env)
			deployApp(t, a)
			a.signal(old.PID, syscall.SIGUSR2)
			a.Until(func() bool { return len(a.of("ready"))+len(a.of("end")) > 0 })
			if first := a.expect("ready", 0); first.Gen != 1 || first.Addrs[0] != addrs[0] {
				t.Errorf("%+v", first)
			}
			a.expectLeft(addrs)
		})
	}
}

// quietClient keeps a connection on which it says nothing for a while.
type quietClient struct{ c *rawhttp.Client }

// dialQuietly connects to the process, and asks once.
func dialQuietly(t *testing.T, addr string, pid int) *quietClient {
	t.Helper()
	q := &quietClient{rawhttp.Dial(t, addr)}
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
	q.c.Send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\na")
}

func (q *quietClient) finish(t *testing.T, pid int) {
	t.Helper()
	q.c.Send("b")
	if got := q.c.Answer().Header.Get("X-Pid"); got != itoa(pid) {
		t.Errorf("answered by %s, want %d", got, pid)
	}
}
