package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// mode is a way to run the tests.
type mode struct {
	name  string
	flags []string // of go test
	env   []string
	busy  bool // beside processes that compute
}

var modes = []mode{
	{name: "plain"},
	{name: "busy", busy: true},
	{name: "one", env: []string{"GOMAXPROCS=1"}},
	{name: "race", flags: []string{"-race"}, env: []string{"GORACE=" + cmp.Or(os.Getenv("GORACE"), "atexit_sleep_ms=10")}}, // see Makefile
	{name: "shuffle", flags: []string{"-shuffle=on"}},
}

func modeNames() string {
	var names []string
	for _, m := range modes {
		names = append(names, m.name)
	}
	return strings.Join(names, ",")
}

// interruptWait is how long the tests have to end once they are interrupted.
const interruptWait = 10 * time.Second

// round is how one went.
type round struct {
	failed bool
	took   time.Duration
	output []byte // all that go test wrote, and what was run
}

// round runs the tests once. An error is one of running them.
func (o options) round(ctx context.Context, m mode) (round, error) {
	if m.busy {
		b, err := startBusy(runtime.NumCPU())
		defer b.stop()
		if err != nil {
			return round{}, err
		}
	}
	args := slices.Concat([]string{"test", "-count=1", "-timeout", o.timeout.String()}, m.flags, o.args)
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s%s %s\n", prefix(m), o.goCmd, strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, o.goCmd, args...)
	cmd.Env = append(os.Environ(), m.env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interruptWait
	began := time.Now()
	err := cmd.Run()
	r := round{failed: err != nil, took: time.Since(began).Round(time.Second / 10), output: out.Bytes()}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = nil
	}
	return r, err
}

// prefix is what makes the mode, as one would write it in front of the command.
func prefix(m mode) (s string) {
	if m.busy {
		s = fmt.Sprintf("# beside %d processes that compute\n", runtime.NumCPU())
	}
	for _, e := range m.env {
		s += e + " "
	}
	return s
}

var failure = regexp.MustCompile(`(?m)^(\s*--- FAIL: .*|FAIL\t.*|panic: .*|.*WARNING: DATA RACE.*|\S+: test program .*)$`)

// failures are the lines of the output that say what failed.
func (r round) failures() (lines []string) {
	for _, line := range failure.FindAllString(string(r.output), -1) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// tally is all rounds of a mode.
type tally struct {
	failed int
	took   []time.Duration
}

func (t *tally) add(r round) {
	if r.failed {
		t.failed++
	}
	t.took = append(t.took, r.took)
}

// table shows the modes.
func table(w io.Writer, modes []mode, tallies []tally) {
	fmt.Fprintf(w, "\n%-8s %6s %8s  %s\n", "mode", "rounds", "failures", "time of each")
	for i, m := range modes {
		times := make([]string, len(tallies[i].took))
		for k, d := range tallies[i].took {
			times[k] = d.String()
		}
		fmt.Fprintf(w, "%-8s %6d %8d  %s\n", m.name, len(times), tallies[i].failed, strings.Join(times, " "))
	}
}
