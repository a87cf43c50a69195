//go:build unix

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// stdout is a screen that is no terminal, and what came to be written there.
func stdout(t *testing.T) (*screen, func() string) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return newScreen(file), func() string {
		text, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

func built(t *testing.T, p program) program {
	t.Helper()
	if err := p.build(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	return p
}

// The usual recipe has to be seen to lose, or the demo would find no losses of
// gracex either.
func TestUsualRecipeIsUpgradedAndSeenToLose(t *testing.T) {
	t.Parallel()
	scr, text := stdout(t)
	opts := options{every: 300 * time.Millisecond, clients: 16, fresh: 2, think: 2 * time.Millisecond}
	recipe := built(t, usualRecipe)
	var e entry
	// How many upgrades fit into the time depends on what else the machine does.
	for range 5 {
		var err error
		if e, err = try(t.Context(), recipe, 2*time.Second, opts, scr); err != nil {
			t.Fatal(err)
		}
		if len(e.upgrades) >= 2 && e.result.Failed > 0 {
			break
		}
	}
	if len(e.upgrades) < 2 || len(e.failed) > 0 {
		t.Errorf("upgrades %v, failed %v", e.upgrades, e.failed)
	}
	if e.result.Failed == 0 || exitStatus([]entry{e}) != exitLost {
		t.Errorf("nothing lost: %v", e.result)
	}
	if got := len(e.result.Served); got != len(e.upgrades)+1 {
		t.Errorf("%d processes answered, %d upgrades", got, len(e.upgrades))
	}
	if n := e.around.Count(); n == 0 || n > e.result.Latency.Count() {
		t.Errorf("%d of %d requests around upgrades", n, e.result.Latency.Count())
	}
	if !strings.HasPrefix(text(), "usual recipe ") || !strings.Contains(text(), " took ") {
		t.Errorf("screen: %s", text())
	}
}

func TestWhatCannotBeBuiltOrStartedIsNamed(t *testing.T) {
	t.Parallel()
	falseProgram, err := exec.LookPath("false")
	if err != nil {
		t.Skipf("the test needs a program that fails at once, such as false: %v", err)
	}
	path := filepath.Join(t.TempDir(), "false")
	if err := os.Symlink(falseProgram, path); err != nil {
		t.Fatal(err)
	}
	scr, _ := stdout(t)
	_, err = try(t.Context(), program{name: "it", pkg: "example.org/it", path: path}, time.Second, options{}, scr)
	if err == nil || !strings.Contains(err.Error(), "it (example.org/it) did not start: exit status 1") {
		t.Errorf("start: %v", err)
	}
	nosuch := program{name: "it", pkg: ginExample.pkg + "/nosuch"}
	err = nosuch.build(t.Context(), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), nosuch.pkg) || !strings.Contains(err.Error(), "go run ./examples/demo") {
		t.Errorf("build: %v", err)
	}
}

// A generation that nobody has heard of yet, and that does not mind SIGTERM, is
// ended all the same.
func TestEndReachesUnknownAndUnwilling(t *testing.T) {
	t.Parallel()
	s := &service{program: usualRecipe, gone: make(chan struct{})}
	// The shell is gone at once; its child keeps the group.
	s.cmd = exec.Command("sh", "-c", `trap "" TERM; sleep 100 & echo $!`)
	ownGroup(s.cmd)
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 32)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Process.Wait()
	close(s.gone)
	if runtime.GOOS != "linux" { // where only the known can be found
		pid, _ := strconv.Atoi(strings.TrimSpace(string(line[:n])))
		s.pids = append(s.pids, pid)
	}
	if live := s.live(); len(live) != 1 {
		t.Fatalf("live: %v, want the sleep %s", live, line[:n])
	}
	if err := s.end(s.cmd.Process.Pid); err != nil || len(s.live()) > 0 {
		t.Errorf("left: %v, %v", s.live(), err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                     "",
		"-for 3s -usual 0":     "",
		"-fresh 0":             "",
		"-for 0s":              "-for",
		"-usual -1s":           "-usual",
		"-think -1s":           "-think",
		"-every 99ms":          "-every",
		"-clients 0 -fresh 0":  "not both 0",
		"-clients -1 -fresh 2": "-clients",
		"now":                  `"now"`,
		"-nosuch":              "-nosuch",
	} {
		_, err := parse(strings.Fields(args), os.Stderr)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}

// Nothing runs when there is nothing to count, and the temporary directory goes.
func TestInterruptedWhileBuilding(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	scr, _ := stdout(t)
	entries, err := compare(ctx, options{gracex: time.Second}, scr)
	if len(entries) != 0 || err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("%v, %v", entries, err)
	}
}

// A program that dies is not waited for, and what it did not answer is counted.
func TestTrialEndsWhenNoProcessIsLeft(t *testing.T) {
	t.Parallel()
	scr, _ := stdout(t)
	p := built(t, usualRecipe)
	s, err := start(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	tr := newTrial(s, time.Hour, options{every: time.Hour, clients: 2})
	kill(s.cmd.Process.Pid)
	<-s.gone
	tr.watch(t.Context(), scr)
	if r := tr.load.Stop(); r.Failed == 0 || len(tr.failed) != 1 || !strings.Contains(tr.failed[0].Error(), "no process is left") {
		t.Errorf("%v, %v", tr.failed, r)
	}
}
