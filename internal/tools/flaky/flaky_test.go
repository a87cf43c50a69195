package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeEnv has this test binary play the go command.
const fakeEnv = "FLAKY_TEST_GO"

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 2 && os.Args[1] == computeArg:
		compute()
	case os.Getenv(fakeEnv) != "":
		os.Exit(fakeGo(os.Args[1:]))
	default:
		os.Exit(m.Run())
	}
}

// fakeGo has tests that fail under the race detector, and with a package "broken".
func fakeGo(args []string) int {
	fmt.Printf("GOMAXPROCS is %q\n", os.Getenv("GOMAXPROCS"))
	if slices.Contains(args, "-race") || slices.Contains(args, "broken") {
		fmt.Printf("--- FAIL: TestIt (0.01s)\n    it_test.go:7: no\nFAIL\nFAIL\texample.org/it\t0.02s\n")
		return 1
	}
	fmt.Println("ok")
	return 0
}

// faked are options that run the fake. Not parallel: the environment is the process's.
func faked(t *testing.T, args ...string) options {
	t.Helper()
	t.Setenv(fakeEnv, "1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o, err := parse(append([]string{"-go", self}, args...), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestRounds: the modes take turns, what failed is kept and named, and the table counts.
func TestRounds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	var out bytes.Buffer
	err := run(t.Context(), faked(t, "-for", "9", "-dir", dir), &out)
	if err == nil || !strings.Contains(err.Error(), "2 of 9 rounds failed; their output is in "+dir) {
		t.Errorf("%v\n%s", err, &out)
	}
	kept, _ := filepath.Glob(filepath.Join(dir, "*"))
	if want := []string{filepath.Join(dir, "004-race.txt"), filepath.Join(dir, "009-race.txt")}; !slices.Equal(kept, want) {
		t.Errorf("kept %q, want %q", kept, want)
	}
	text, err := os.ReadFile(kept[0])
	if err != nil || !strings.Contains(string(text), " test -count=1 -timeout 10m0s -race work\n") || !strings.Contains(string(text), "it_test.go:7: no") {
		t.Errorf("%v: %s", err, text)
	}
	for _, want := range []string{"round 2, busy: ok in ", "round 4, race: FAILED in ", "\t--- FAIL: TestIt", "\nplain         2        0 ", "\nrace          2        2 ", "\nshuffle       1        0 "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// TestModes: each is what it is called.
func TestModes(t *testing.T) {
	for name, want := range map[string][]string{
		"plain":   {`GOMAXPROCS is ""`, " test -count=1 -timeout 10m0s broken\n"},
		"busy":    {"# beside ", " test -count=1 -timeout 10m0s broken\n"},
		"one":     {`GOMAXPROCS is "1"`, "GOMAXPROCS=1 "},
		"shuffle": {" -shuffle=on broken\n"},
	} {
		t.Setenv("GOMAXPROCS", "")
		o := faked(t, "-modes", name, "broken")
		r, err := o.round(t.Context(), o.modes[0])
		if err != nil || !r.failed {
			t.Errorf("%s: failed %v, %v", name, r.failed, err)
		}
		for _, w := range want {
			if !strings.Contains(string(r.output), w) {
				t.Errorf("%s: no %q in %s", name, w, r.output)
			}
		}
	}
}

// TestGood: nothing is left where nothing failed.
func TestGood(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	if err := run(t.Context(), faked(t, "-for", "1", "-modes", "plain"), &out); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestInterrupted: no round begins, and the table is there.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if err := run(ctx, faked(t, "-for", "1h", "-dir", t.TempDir()), &out); err != nil || !strings.Contains(out.String(), "plain         0        0") {
		t.Errorf("%v\n%s", err, &out)
	}
}

// TestBusy: they compute until they are stopped, and end with their standard input.
func TestBusy(t *testing.T) {
	t.Parallel()
	b, err := startBusy(3)
	if err != nil {
		t.Fatal(err)
	}
	first := b.cmds[0]
	_ = b.ends[0].Close()
	if err := first.Wait(); err != nil {
		t.Errorf("without a standard input: %v", err)
	}
	b.cmds, b.ends = b.cmds[1:], b.ends[1:]
	rest := b.cmds
	b.stop()
	for _, cmd := range rest {
		if cmd.ProcessState == nil {
			t.Errorf("process %d is left", cmd.Process.Pid)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	o, err := parse(strings.Fields("-for 2h -modes race,busy -run X ./core"), t.Output())
	if err == nil {
		t.Errorf("-run is a flag of go test: %+v", o)
	}
	o, err = parse(strings.Fields("-for 2h -modes race,busy -- -run X ./core"), t.Output())
	if err != nil || o.lasting != 2*time.Hour || o.rounds != 0 || o.modes[1].name != "busy" || !slices.Equal(o.args, []string{"-run", "X", "./core"}) {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := parse(nil, t.Output()); err != nil || o.rounds != len(modes) || !slices.Equal(o.args, []string{"work"}) {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range []string{"-for 0", "-for -1", "-for soon", "-for -2h", "-modes nice"} {
		if _, err := parse(strings.Fields(bad), t.Output()); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}
