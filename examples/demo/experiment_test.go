//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

func built(t *testing.T, p program) program {
	t.Helper()
	must.Do(t, p.build(t.Context(), t.TempDir()))
	return p
}

// The usual recipe has to be seen to lose, or the demo would find no losses of gracex either.
func TestUsualRecipeIsUpgradedAndSeenToLose(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	out := printer{&text, func() {}}
	opts := options{every: 300 * time.Millisecond, clients: 16, fresh: 2, think: 2 * time.Millisecond}
	recipe := built(t, usualRecipe)
	var e *entry
	// How many upgrades fit into the time depends on what else the machine does.
	for range 5 {
		var err error
		if e, err = try(t.Context(), recipe, 2*time.Second, opts, out); err != nil {
			t.Fatal(err)
		}
		if len(e.upgrades) >= 2 && e.result.Failed > 0 {
			break
		}
	}
	if len(e.upgrades) < 2 || len(e.failed) > 0 {
		t.Errorf("upgrades %v, failed %v", e.upgrades, e.failed)
	}
	if e.result.Failed == 0 || exitStatus([]entry{*e}) != exitLost {
		t.Errorf("nothing lost: %v", e.result)
	}
	if got := len(e.result.Served); got != len(e.upgrades)+1 {
		t.Errorf("%d processes answered, %d upgrades", got, len(e.upgrades))
	}
	if n := e.around.Count(); n == 0 || n > e.result.Latency.Count() {
		t.Errorf("%d of %d requests around upgrades", n, e.result.Latency.Count())
	}
	if !strings.Contains(text.String(), "usual recipe: pid ") || !strings.Contains(text.String(), ": upgrade 1 took ") {
		t.Errorf("written: %s", &text)
	}
}

func TestWhatCannotBeBuiltOrStartedIsNamed(t *testing.T) {
	t.Parallel()
	falseProgram, err := exec.LookPath("false")
	if err != nil {
		t.Skipf("the test needs a program that fails at once, such as false: %v", err)
	}
	path := filepath.Join(t.TempDir(), "false")
	must.Do(t, os.Symlink(falseProgram, path))
	_, err = try(t.Context(), program{name: "it", pkg: "example.org/it", path: path}, time.Second, options{}, printer{})
	if err == nil || !strings.Contains(err.Error(), "it (example.org/it) did not start: exit status 1") {
		t.Errorf("start: %v", err)
	}
	nosuch := program{name: "it", pkg: ginExample.pkg + "/nosuch"}
	err = nosuch.build(t.Context(), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), nosuch.pkg) || !strings.Contains(err.Error(), "go run ./examples/demo") {
		t.Errorf("build: %v", err)
	}
}

// A process that does not mind SIGTERM is ended all the same, and so is one whose parent has ended.
func TestEndReachesUnknownAndUnwilling(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sh", "-c", `trap "" TERM; sleep 1000 & echo started >&2`)
	s := &service{Process: must.Get(procgroup.Start(cmd))(t)} // the shell ends at once; its child keeps the group
	proctest.Await(t, "the child has started", func() bool { return s.Log.Count("started") > 0 })
	must.Do(t, s.end())
}

func TestParse(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                     "",
		"-for 3s -usual 0":     "",
		"-fresh 0":             "",
		"-ui":                  "",
		"-ui -for 0s":          "-for",
		"-for 0s":              "-for",
		"-usual -1s":           "-usual",
		"-think -1s":           "-think",
		"-every 99ms":          "-every",
		"-clients 0 -fresh 0":  "not both 0",
		"-clients -1 -fresh 2": "-clients",
		"now":                  `"now"`,
		"-nosuch":              "-nosuch",
	} {
		_, err := parse(strings.Fields(args), io.Discard)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}

// With -ui there is time to look, unless another one is given.
func TestParse_UI(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]options{
		"-ui":                             {gracex: uiFor, every: uiEvery},
		"-ui -for 3s -usual 1s -every 2s": {gracex: 3 * time.Second, usual: time.Second, every: 2 * time.Second},
		"-for 3s":                         {gracex: 3 * time.Second, usual: 10 * time.Second, every: time.Second},
	} {
		o := must.Get(parse(strings.Fields(args), io.Discard))(t)
		if o.gracex != want.gracex || o.usual != want.usual || o.every != want.every {
			t.Errorf("%q: %+v", args, o)
		}
	}
}

// Nothing runs when there is nothing to count, and the temporary directory goes.
func TestInterruptedWhileBuilding(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	entries, err := compare(ctx, options{gracex: time.Second}, printer{io.Discard, cancel})
	if len(entries) != 0 || err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("%v, %v", entries, err)
	}
}

// A program that dies is not waited for, and what it did not answer is counted.
func TestTrialEndsWhenNoProcessIsLeft(t *testing.T) {
	t.Parallel()
	p := built(t, usualRecipe)
	r, w := io.Pipe()
	defer w.Close()
	go func() {
		var group procgroup.Group
		for lines := bufio.NewScanner(r); lines.Scan(); {
			_, _ = fmt.Sscanf(lines.Text(), "usual recipe: pid %d serves", &group.Leader) // generation 0
			if strings.Contains(lines.Text(), ": upgrade 1 took ") {
				group.Kill()
			}
		}
	}()
	e := must.Get(try(t.Context(), p, time.Hour, options{every: minEvery, clients: 2}, printer{w, func() {}}))(t)
	if e.result.Failed == 0 || len(e.failed) == 0 || !strings.Contains(e.failed[len(e.failed)-1].Error(), "no process is left") {
		t.Errorf("%v, %v", e.failed, e.result)
	}
}

// Nobody reads the output any more, as in "demo | head".
func TestPrinterStops(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	printer{w, cancel}.printf("hello")
	if ctx.Err() == nil {
		t.Error("a write that failed is not noticed")
	}
}
