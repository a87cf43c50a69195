//go:build unix

package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

const (
	playEnv  = "GRACEX_EXAMPLE_TEST" // makes the test binary the example
	patience = 60 * time.Second
)

func TestMain(m *testing.M) {
	if os.Getenv(playEnv) != "" {
		go func() {
			// Its end is the end of the test, however that came about.
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(3)
		}()
		main()
		return
	}
	if signal.Ignored(syscall.SIGHUP) {
		// Under nohup. What is caught here has its default action in the example.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	os.Exit(m.Run())
}

// example is the running program.
type example struct {
	t       *testing.T
	cmd     *exec.Cmd
	url     string
	pidfile string
	log     *os.File
	ended   chan struct{} // closed then
}

// start starts the example on a port that was free a moment ago; if somebody
// took it, on another.
func start(t *testing.T) *example {
	t.Helper()
	for range 5 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		e := run(t, "-addr", ln.Addr().String())
		e.url = "http://" + ln.Addr().String()
		if e.await() {
			return e
		}
		if !strings.Contains(e.wrote(), "address already in use") {
			t.Fatal("the example did not start")
		}
	}
	t.Fatal("no port stays free")
	return nil
}

func run(t *testing.T, args ...string) *example {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	e := &example{t: t, pidfile: filepath.Join(dir, "pid"), ended: make(chan struct{})}
	if e.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	stdin, keep, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// Every generation holds the write end of this pipe, as its standard output.
	output, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	e.cmd = exec.Command(exe, append(args, "-pidfile", e.pidfile, "-drain", "20s")...)
	e.cmd.Env = append(os.Environ(), playEnv+"=1")
	e.cmd.Stdin, e.cmd.Stdout, e.cmd.Stderr = stdin, w, e.log
	err = e.cmd.Start()
	stdin.Close()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(e.ended)
		_, _ = io.Copy(io.Discard, output)
		_ = e.cmd.Wait()
	}()
	t.Cleanup(func() {
		keep.Close()
		<-e.ended
		output.Close()
		e.log.Close()
		if t.Failed() {
			t.Log(e.wrote())
		}
	})
	return e
}

func (e *example) wrote() string {
	b, err := os.ReadFile(e.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// poll reports whether f did, before patience or the example ended.
func (e *example) poll(f func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !f() {
		select {
		case <-tick.C:
		case <-e.ended:
			return false
		case <-late:
			e.t.Fatalf("nothing in %v", patience)
		}
	}
	return true
}

func (e *example) await() bool { return e.poll(func() bool { return e.pid() != 0 }) }

// pid is the current generation's, 0 without a file.
func (e *example) pid() int {
	b, err := os.ReadFile(e.pidfile)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		e.t.Fatal(err)
	}
	return n
}

// ask returns the answer's status, body and the generation that gave it.
func (e *example) ask(method, target, body string) (status int, answer, generation string) {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), method, e.url+target, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}).Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	if pid := strconv.Itoa(e.pid()); target == "/" && resp.Header.Get("X-Pid") != pid {
		e.t.Errorf("X-Pid is %s, the pid file says %s", resp.Header.Get("X-Pid"), pid)
	}
	return resp.StatusCode, string(b), resp.Header.Get("X-Generation")
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	e := start(t)
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
		status, answer, _ := e.ask(tt.method, tt.target, tt.body)
		if status != tt.status || answer != tt.answer {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.target, status, answer, tt.status, tt.answer)
		}
		if took := time.Since(begin); tt.target == "/?d=50ms" && took < 50*time.Millisecond {
			t.Errorf("%s took %v", tt.target, took)
		}
	}
}

func TestUpgradesAndStops(t *testing.T) {
	t.Parallel()
	e := start(t)
	run := load.Start(load.Config{
		Addr:    strings.TrimPrefix(e.url, "http://"),
		Clients: 8, Fresh: 4,
		Think:   2 * time.Millisecond,
		Timeout: patience,
	})
	defer run.Stop()
	for i, sig := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGHUP, syscall.SIGUSR2} {
		old := e.pid()
		if err := syscall.Kill(old, sig); err != nil {
			t.Fatal(err)
		}
		if !e.poll(func() bool { return e.pid() != old }) {
			t.Fatal("it has ended")
		}
		if _, _, generation := e.ask("POST", "/", ""); generation != strconv.Itoa(i+1) {
			t.Errorf("generation %s answers after %d upgrades", generation, i+1)
		}
	}
	if r := run.Stop(); r.Failed != 0 || r.Requests == 0 {
		t.Errorf("want none failed: %v", r)
	}
	if err := syscall.Kill(e.pid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-e.ended:
	case <-time.After(patience):
		t.Fatal("it does not stop")
	}
	if code := e.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("generation 0 ended with status %d", code)
	}
	if _, err := os.Stat(e.pidfile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pid file is still there: %v", err)
	}
}

func TestErrorEndsWithStatus1(t *testing.T) {
	t.Parallel()
	e := run(t, "-addr", "127.0.0.1:nonsense")
	<-e.ended
	if code := e.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("status %d, want 1", code)
	}
	if !strings.Contains("\n"+e.wrote(), "\ngin: gracex: listen tcp 127.0.0.1:nonsense: ") {
		t.Error("no such message on standard error")
	}
}
