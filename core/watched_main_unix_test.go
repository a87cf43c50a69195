//go:build unix

package core_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

func init() { programs["main"] = playMain }

// playMain is a program whose main ends in a way that many have, which the first argument names.
func playMain() {
	ln, err := core.Listen(context.Background(), "tcp", "127.0.0.1:0")
	check(err)
	srv := &http.Server{Handler: http.HandlerFunc(serveRequest)}
	opts := []core.Option{core.WithProbation(0), core.WithControlSocket("")}
	go func() {
		for core.Status().State < core.StateCurrent {
			time.Sleep(time.Millisecond)
		}
		emit(event{Event: "ready", Gen: core.Generation(), Addrs: []string{ln.Addr().String()}})
	}()
	switch os.Args[1] {
	case "shutdown": // by a context that ends with main, too
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		go func() {
			<-ctx.Done()
			_ = srv.Shutdown(context.Background())
		}()
		err = core.ServeListener(srv, ln, opts...)
	case "stop": // what is made is stopped at the end
		var u *core.Upgrader
		defer func() {
			_ = u.Stop(context.Background())
			emit(event{Event: "stopped"})
		}()
		err = core.Run(func(made *core.Upgrader) error { u = made; return u.Attach(srv, ln) }, opts...)
	case "waits": // for its signal, and serves in a goroutine
		quit := make(chan os.Signal, 1)
		signal.Notify(quit, syscall.SIGTERM)
		go func() { check(core.ServeListener(srv, ln, opts...)) }()
		<-quit
		err = srv.Shutdown(context.Background())
	case "signals": // are all handled by the program
		u, nerr := core.New(append(opts, core.WithSignals(core.Signals{}))...)
		check(nerr)
		came := make(chan os.Signal, 1)
		signal.Notify(came, syscall.SIGHUP, syscall.SIGTERM)
		go func() {
			for sig := range came {
				if sig == syscall.SIGHUP {
					_, err := u.Upgrade(context.Background())
					if errors.Is(err, core.ErrStopped) { // it is the next one's, which gets the signal, too
						continue
					}
					check(err)
					emit(event{Event: "upgraded", Gen: core.Generation()})
				} else {
					_ = u.Stop(context.Background())
				}
			}
		}()
		check(u.Attach(srv, ln))
		check(u.Ready())
		<-u.Done()
		err = u.Err()
	}
	emit(event{Event: "end", Gen: core.Generation()})
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		check(err)
	}
}

// TestWatched_MainEndsInItsOwnWay and the service goes on without it: upgrades lose nothing, and a stop lets the
// worker finish before the process that was started ends.
func TestWatched_MainEndsInItsOwnWay(t *testing.T) {
	t.Parallel()
	needsProc(t)
	for name, goes := range map[string]bool{"shutdown": true, "stop": true, "waits": false, "signals": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := installed(t)
			a.env = []string{core.EnvMode + "="}
			a.start("main", "./app", name)
			addr, pid := a.expect("ready", 0).Addrs[0], a.cmd.Process.Pid
			run := load.Start(load.Config{Addr: addr, Clients: 4, Fresh: 4})
			for i := range 3 {
				a.signal(pid, syscall.SIGHUP)
				ev := a.expect("ready", i+1)
				awaitServed(t, run, load.Server{PID: itoa(ev.PID), Generation: itoa(ev.Gen)})
				switch {
				case i == 0 && goes:
					a.becomesSupervisor()
				case name == "signals": // Upgrade is refused before that, where a signal to gracex is remembered
					a.expect("upgraded", i)
				}
			}
			expectLossless(t, run)
			slow := rawhttp.Dial(t, addr)
			slow.Ask("/?hold=go")
			a.expect("handling", 0)
			a.signal(pid, syscall.SIGTERM)
			a.Await("the worker accepts no more", func() bool {
				c, err := net.Dial("tcp", addr)
				if err == nil {
					_ = c.Close()
				}
				return err != nil
			})
			a.write("go", "")
			slow.Answer()
			a.exitsWell()
			a.expectGone()
			if ends := a.of("end"); !goes && ends[len(ends)-1].PID != pid {
				t.Error("the process that was started has not ended last")
			}
		})
	}
}

// TestWatched_CrashLoopOutlivesTheFirstDrain: the end of the first process's drain between two tries is no end of the
// service, which is served again when there is a good version.
func TestWatched_CrashLoopOutlivesTheFirstDrain(t *testing.T) {
	t.Parallel()
	a, first := watched(t, "-probation", "0")
	addr, pid := first.Addrs[0], a.cmd.Process.Pid
	slow := rawhttp.Dial(t, addr)
	slow.Ask("/?hold=go")
	a.expect("handling", 0)
	for i := range 2 {
		a.signal(pid, syscall.SIGUSR2)
		a.expect("ready", i+1)
		a.expectLog("msg=upgraded", i+1)
	}
	a.expect("end", 0) // of the second one, which has left the first to the third
	a.setMode("exit7")
	a.signal(a.of("ready")[2].PID, syscall.SIGKILL)
	a.expectLog("the worker crashed", 5) // and waits for 800 ms
	a.write("go", "")
	slow.Answer()
	slow.Close() // it is the last one
	a.expectLog("generation ended", 2)
	a.setMode("")
	last := a.expect("ready", 3)
	expectServes(t, addr, last.PID)
	a.becomesSupervisor()
	a.stopsWell()
}

// TestWatched_SupervisorPassesHookedSignalsOn as the first process does while the program is in it.
func TestWatched_SupervisorPassesHookedSignalsOn(t *testing.T) {
	t.Parallel()
	a, _ := watchedEnv(t, []string{"APP_HOOKS=1"}, "-probation", "0")
	pid := a.cmd.Process.Pid
	a.signal(pid, syscall.SIGWINCH)
	a.expect("after", 0)
	a.signal(pid, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	a.becomesSupervisor()
	n := len(a.of("after"))
	a.signal(pid, syscall.SIGWINCH)
	if ev := a.expect("after", n); ev.PID != second.PID || ev.Err != syscall.SIGWINCH.String() {
		t.Errorf("%v", ev)
	}
	a.stopsWell()
}

// TestStop_IdleConnectionsOfOlderProcessesDoNotHoldItUp: no process answers their clients any more.
func TestStop_IdleConnectionsOfOlderProcessesDoNotHoldItUp(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]string{"a watched first process": "", "processes that upgrade themselves": "self"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, first := watchedEnv(t, []string{core.EnvMode + "=" + mode}, "-probation", "0", "-drain", "4m", "-handoff=false")
			current := first
			for i := range 2 {
				idle := rawhttp.Dial(t, first.Addrs[0])
				idle.Ask("/")
				idle.Answer()
				a.signal(current.PID, syscall.SIGUSR2)
				current = a.expect("ready", i+1)
				a.expectLog("msg=draining", i+1)
			}
			a.signal(current.PID, syscall.SIGTERM)
			a.exitsWell()
			a.expectGone()
		})
	}
}

// TestWatched_StopAfterACrashDoesNotWaitForIdleConnections of the first process, which the worker that was started
// after the crash knows nothing of.
func TestWatched_StopAfterACrashDoesNotWaitForIdleConnections(t *testing.T) {
	t.Parallel()
	a, first := watched(t, "-probation", "0", "-drain", "4m", "-handoff=false")
	idle := rawhttp.Dial(t, first.Addrs[0])
	idle.Ask("/")
	idle.Answer()
	for i := range 2 {
		a.signal(first.PID, syscall.SIGUSR2)
		a.expect("ready", i+1)
		a.expectLog("msg=upgraded", i+1)
	}
	a.expect("end", 0)
	a.signal(a.of("ready")[2].PID, syscall.SIGKILL)
	a.expect("ready", 3)
	a.stopsWell()
}
