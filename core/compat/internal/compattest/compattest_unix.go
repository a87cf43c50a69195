//go:build unix

package compattest

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// patience bounds every wait.
const patience = 60 * time.Second

// Program is one that runs, with all its generations.
type Program struct {
	Addr, Other string // its addresses; the second one is empty if it has no flag -other
	Dir         string

	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when all generations have closed their stderr

	mu  sync.Mutex
	out bytes.Buffer
}

// Build builds the program in the package's testdata, once for a test.
func Build(t *testing.T, name string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	out, err := exec.Command("go", "build", "-o", path, "./testdata/"+name).CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// Start starts the program on addresses that are free, and waits until it serves. With two it has the flag -other.
func Start(t *testing.T, path string, servers int, args ...string) *Program {
	t.Helper()
	if signal.Ignored(syscall.SIGHUP) { // under nohup, and that is inherited: a signal that is caught is reset by exec
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	const tries = 5 // another process may take an address first
	for try := 1; ; try++ {
		p := &Program{t: t, Dir: filepath.Dir(path), Addr: free(t), done: make(chan struct{})}
		all := append([]string{"-addr", p.Addr}, args...)
		if servers > 1 {
			p.Other = free(t)
			all = append(all, "-other", p.Other)
		}
		p.start(path, all)
		if p.serves() && !strings.Contains(p.Log(), "address already in use") {
			return p
		}
		if try == tries {
			t.Fatalf("it does not serve:\n%s", p.Log())
		}
	}
}

func (p *Program) start(path string, args []string) {
	p.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.Command(path, args...)
	p.cmd.Stderr, p.cmd.Stdout = w, w
	p.cmd.Dir = p.Dir
	p.cmd.Env = append(os.Environ(), "PWD="+p.Dir)
	err = p.cmd.Start()
	w.Close()
	if err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		defer r.Close()
		_, _ = io.Copy(writer{p}, r)
	}()
	p.t.Cleanup(func() {
		select {
		case <-p.done: // their numbers may be somebody else's by now
		default:
			for _, pid := range p.pids() {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if p.t.Failed() {
			p.t.Log(p.Log())
		}
	})
}

type writer struct{ p *Program }

func (w writer) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.p.out.Write(b)
}

func free(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// serves waits until the program is current, or has ended.
func (p *Program) serves() bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if current.MatchString(p.Log()) {
			return p.Other == "" || accepts(p.Other) && accepts(p.Addr) // the second server may come later
		}
		select {
		case <-p.done:
			return false
		default:
		}
	}
	return false
}

// accepts waits until somebody listens at addr.
func accepts(addr string) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return true
		}
	}
	return false
}

// Log is what all generations have written.
func (p *Program) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func (p *Program) await(text string, n int) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if strings.Count(p.Log(), text) >= n {
			return true
		}
	}
	return false
}

// Await waits until the text was written n times.
func (p *Program) Await(text string, n int) {
	p.t.Helper()
	if !p.await(text, n) {
		p.t.Fatalf("%q was not written %d times", text, n)
	}
}

var current = regexp.MustCompile(`\bcurrent generation=(\d+) pid=(\d+)`)

// pids are the processes that said that they are current, by generation; the first one at least.
func (p *Program) pids() []int {
	pids := []int{p.cmd.Process.Pid}
	for _, m := range current.FindAllStringSubmatch(p.Log(), -1) {
		if pid, err := strconv.Atoi(m[2]); err == nil && m[1] != "0" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Signal signals the current generation.
func (p *Program) Signal(sig syscall.Signal) {
	p.t.Helper()
	pids := p.pids()
	if err := syscall.Kill(pids[len(pids)-1], sig); err != nil {
		p.t.Fatal(err)
	}
}

// Upgrade upgrades by a signal, and returns when the next generation is current.
func (p *Program) Upgrade(sig syscall.Signal) {
	p.t.Helper()
	before := len(p.pids())
	p.Signal(sig)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if len(p.pids()) > before {
			return
		}
	}
	p.t.Fatal("there is no new generation")
}

// Ended waits until all generations have ended.
func (p *Program) Ended() {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatal("it does not end")
	}
}

// Upgrades runs load on all addresses while the program is upgraded twice by the signal, and stops it: nothing is
// lost, and nobody who keeps a connection has to reconnect.
func (p *Program) Upgrades(sig syscall.Signal) {
	p.t.Helper()
	var runs []*load.Run
	for _, addr := range []string{p.Addr, p.Other} {
		if addr != "" {
			runs = append(runs, load.Start(load.Config{Addr: addr, Path: "/hello", Method: "GET", Any: true, Clients: 4, Fresh: 4}))
		}
	}
	p.Upgrade(sig)
	p.Upgrade(sig)
	for _, run := range runs {
		if res := run.Stop(); res.Failed != 0 || res.Requests == 0 || res.Reconnects != 0 {
			p.t.Errorf("%v", res)
		}
	}
	p.Signal(syscall.SIGTERM)
	p.Ended()
}
