package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/promx"
)

// The kinds of servers.
const (
	plain       = "plain"
	withMetrics = "metrics"
)

// answer is what each request gets.
const answer = "hello"

// server serves until its standard input ends, which is that of bench. It writes its addresses, in a line, that for
// Prometheus behind the other one.
func server(kind string) error {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	opts := []core.Option{core.WithoutControlSocket(), core.WithLogger(slog.New(slog.DiscardHandler)), core.WithServerName("public")}
	if kind == withMetrics {
		opts = append(opts, core.AlsoServe("127.0.0.1:0", promx.Handler(), core.Named("metrics")))
	}
	return core.Run(func(u *core.Upgrader) error {
		ln, err := u.Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		go tell(u)
		return u.Attach(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })}, ln)
	}, opts...)
}

// tell writes the addresses when the process serves.
func tell(u *core.Upgrader) {
	for u.State() != core.StateCurrent {
		time.Sleep(time.Millisecond)
	}
	var public, metrics string
	for _, l := range u.Status().Listeners {
		if l.Name == "metrics" {
			metrics = l.Address
		} else {
			public = l.Address
		}
	}
	fmt.Println(public, metrics)
}

// running is a server as a process of its own.
type running struct {
	cmd     *exec.Cmd
	in      io.Closer
	addr    string
	metrics string // empty: it has none
	conns   conns
}

// start starts one, and opens the connections.
func start(ctx context.Context, kind string) (_ *running, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r := &running{cmd: exec.Command(self, "-serve", kind)}
	r.cmd.Stderr = os.Stderr
	r.cmd.Env = append(os.Environ(), envServe+"="+kind)
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err == nil {
		err = r.cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("it has not told its address: %w", err), r.end())
	}
	r.addr, r.metrics, _ = strings.Cut(strings.TrimSpace(line), " ")
	if r.conns, err = dial(ctx, r.addr); err != nil {
		return nil, errors.Join(err, r.end())
	}
	return r, nil
}

// envServe is for a test binary, which plays the server.
const envServe = "PROMX_BENCH_SERVE"

func (r *running) end() error {
	r.conns.close()
	_ = r.in.Close()
	return r.cmd.Wait()
}

// cpuTime is the processor time that the threads of the server have had, by the scheduler's clock (proc-schedstat of
// the kernel's documentation: the first field, in nanoseconds); 0 where there is none.
func (r *running) cpuTime() (sum time.Duration) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", r.cmd.Process.Pid))
	for _, file := range files {
		b, _ := os.ReadFile(file) // a thread can have ended
		ns, _, _ := strings.Cut(string(b), " ")
		n, _ := strconv.ParseInt(ns, 10, 64)
		sum += time.Duration(n)
	}
	return sum
}
