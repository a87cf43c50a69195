package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestMain is the server if a soak under test starts it as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-serve" {
		main()
		return
	}
	// The race detector would have each process wait for a second at its end.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	os.Exit(m.Run())
}

func TestParse(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-for", "1m", "-break", "memory,log"}, t.Output())
	if err != nil || o.seed == 0 || o.lasting.Minutes() != 1 || o.ready != defaultReady {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range []string{"-break nonsense", "-for 0s", "-nonsense", "-ready -1s"} {
		if _, err := parse(strings.Fields(args), t.Output()); err == nil {
			t.Errorf("%s is accepted", args)
		}
	}
}

// TestRandom: the same seed gives the same, another another, and so does another
// stream.
func TestRandom(t *testing.T) {
	t.Parallel()
	draw := func(seed, stream uint64) (out []uint64) {
		rng := (&options{seed: seed}).random(stream)
		for range 4 {
			out = append(out, rng.Uint64())
		}
		return out
	}
	if !slices.Equal(draw(1, streamEcho), draw(1, streamEcho)) {
		t.Error("a seed can't be repeated")
	}
	if slices.Equal(draw(1, streamEcho), draw(2, streamEcho)) || slices.Equal(draw(1, streamEcho), draw(1, streamSchedule)) {
		t.Error("two sources are the same")
	}
}
