//go:build unix

package exampletest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
)

// Contract checks that the example in file, which is named after it, keeps the contract.
func Contract(t *testing.T, file string) {
	for what, check := range map[string]func(t *testing.T, file string){
		"answers":          answers,
		"upgrades":         upgrades,
		"probation":        probation,
		"pre-stop delay":   preStopDelay,
		"drain timeout":    drainTimeout,
		"error's status 1": errorEndsWithStatus1,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			check(t, file)
		})
	}
}

func answers(t *testing.T, file string) {
	p := startExample(t, file)
	for _, tt := range []struct {
		method, target, body string
		status               int
		answer               string
	}{
		{"POST", "/", "hello", 200, "hello"},
		{"GET", "/", "hello", 200, "hello"},
		{"GET", "/", "", 200, ""},
		{"POST", "/?d=50ms", "later", 200, "later"},
		{"POST", "/?d=soon", "never", 400, "d: time: invalid duration \"soon\"; 2s and 150ms are durations\n"},
		{"GET", "/livez", "", 200, `{"state":"current"}`},
		{"GET", "/readyz", "", 200, `{"state":"current"}`},
	} {
		begin := time.Now()
		a := p.Ask(tt.method, tt.target, tt.body)
		if a.Status != tt.status || a.Body != tt.answer {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.target, a.Status, a.Body, tt.status, tt.answer)
		}
		if took := time.Since(begin); tt.target == "/?d=50ms" && took < 50*time.Millisecond {
			t.Errorf("%s took %v", tt.target, took)
		}
		if strings.HasPrefix(tt.target, "/?") || tt.target == "/" {
			p.isFrom(a, 0)
		}
	}
	p.Stop()
}

// isFrom checks that the current generation gave the answer, and that it is the n-th.
func (p *Program) isFrom(a load.Answer, n int) {
	p.t.Helper()
	if pid := strconv.Itoa(p.PID()); a.PID != pid {
		p.t.Errorf("X-Pid is %s, the pid file says %s", a.PID, pid)
	}
	if generation := strconv.Itoa(n); a.Generation != generation {
		p.t.Errorf("generation %s answers after %d upgrades", a.Generation, n)
	}
}

// upgrades has clients whose connections are idle most of the time, and others that
// wait for an answer most of the time.
func upgrades(t *testing.T, file string) {
	p := startExample(t, file)
	idle := load.Config{Addr: p.Addr, Clients: 8, Fresh: 4, Think: 2 * time.Millisecond, Timeout: Patience}
	busy := idle
	busy.Path = "/?d=20ms"
	runs := []*load.Run{load.Start(idle), load.Start(busy)}
	for _, run := range runs {
		defer run.Stop()
	}
	p.AwaitLoad(runs...)
	for i, sig := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGHUP, syscall.SIGUSR2} {
		p.Upgrade(sig)
		p.AwaitLoad(runs...)
		p.isFrom(p.Ask("POST", "/", ""), i+1)
	}
	for _, run := range runs {
		if r := run.Stop(); r.Failed != 0 || r.Reconnects != 0 {
			t.Errorf("want none failed and no reconnect: %v", r)
		}
	}

	// A stop answers what has begun.
	answer := p.Hold("/?d=300ms", "held")
	p.Signal(syscall.SIGTERM)
	a, err := answer()
	if err != nil || a.Status != 200 || a.Body != "held" {
		t.Errorf("the answer that was under way when the stop came: %+v, %v", a, err)
	}
	p.End()
	if log := "\n" + p.Log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "\n"+filepath.Base(file)+": ") {
		t.Error("a generation has ended with an error")
	}
}

// probation kills a new process that is current and on probation. The old one serves
// again, and what it had kept has not noticed.
func probation(t *testing.T, file string) {
	p := startExample(t, file, "-probation", "1h")
	old := p.PID()
	answer := p.Hold("/?d=300ms", "held")
	p.Upgrade(syscall.SIGUSR2)
	bad := p.PID()
	p.isFrom(p.Ask("POST", "/", ""), 1)
	p.Signal(syscall.SIGKILL)
	p.AwaitPID(p.pidfile, bad)
	p.isFrom(p.Ask("POST", "/", ""), 0)
	if a, err := answer(); err != nil || a.PID != strconv.Itoa(old) || p.PID() != old {
		t.Errorf("process %d serves after %d; the held answer: %+v, %v", p.PID(), old, a, err)
	}
	p.Stop()
}

// preStopDelay stops with a delay that would outlast the test, and ends it by a second
// signal. The upgrade before must not wait for it.
func preStopDelay(t *testing.T, file string) {
	p := startExample(t, file, "-prestop", "1h")
	p.Upgrade(syscall.SIGUSR2)
	if a := p.Ask("GET", "/readyz", ""); a.Status != 200 {
		t.Errorf("/readyz before the stop: %+v", a)
	}
	pid := p.PID()
	p.Signal(syscall.SIGTERM)
	var a load.Answer
	p.Await("/readyz notices the stop", func() bool { a = p.Ask("GET", "/readyz", ""); return a.Status != 200 })
	if a.Status != 503 || a.Body != `{"state":"stopping"}` {
		t.Errorf("/readyz after the stop signal: %+v", a)
	}
	if a := p.Ask("GET", "/livez", ""); a.Status != 200 {
		t.Errorf("/livez after the stop signal: %+v", a)
	}
	// The first takes much longer than any stop goes on accepting, so the second shows the delay.
	for _, target := range []string{"/?d=200ms", "/"} {
		if a := p.Ask("POST", target, "late"); a.Status != 200 || a.Body != "late" || a.PID != strconv.Itoa(pid) {
			t.Errorf("%s after the stop signal: %+v, want process %d", target, a, pid)
		}
	}
	p.Stop()
}

// drainTimeout stops while a request is under way that takes longer.
func drainTimeout(t *testing.T, file string) {
	p := startExample(t, file, "-drain", "100ms")
	answer := p.Hold("/?d=1h", "held")
	p.Signal(syscall.SIGTERM)
	if a, err := answer(); err == nil {
		t.Errorf("the answer that was cut: %+v", a)
	}
	p.ends(0) // the stop was asked for, and is done
	if !strings.Contains(p.Log.String(), "drain cut short") {
		t.Error("the log does not say what was cut")
	}
}

// ErrorEndsWithStatus1 checks what an address that is none leads to, in the example that
// the test binary plays.
func ErrorEndsWithStatus1(t *testing.T, name string) {
	t.Helper()
	exe := must.Get(os.Executable())(t)
	endsWithStatus1(t, exe, name)
}

func errorEndsWithStatus1(t *testing.T, file string) { endsWithStatus1(t, file, filepath.Base(file)) }

func endsWithStatus1(t *testing.T, file, name string) {
	t.Helper()
	const addr = "127.0.0.1:nonsense"
	p := run(t, file, func(pidfile string) []string { return flags(addr, pidfile) })
	p.ends(1)
	p.hasMessage(name + ": gracex: listen tcp " + addr + ": ")
}

// hasMessage checks that a line of standard error begins as wanted.
func (p *Program) hasMessage(begin string) {
	p.t.Helper()
	if !strings.Contains("\n"+p.Log.String(), "\n"+begin) {
		p.t.Errorf("no message on standard error that begins %q", begin)
	}
}
