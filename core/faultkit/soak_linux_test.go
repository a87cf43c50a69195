package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
)

// brief is a soak for a machine that is busy with other tests.
func brief(t *testing.T, lasting time.Duration) *options {
	t.Helper()
	return &options{
		soakFor: lasting, seed: 1, log: filepath.Join(t.TempDir(), "log"), short: true,
		program: []string{build(t, "./server", raceFlag()...)},
	}
}

// impatient interrupts a soak when it says that there was an upgrade under load.
type impatient struct {
	bytes.Buffer
	interrupt func()
}

func (w *impatient) Write(b []byte) (int, error) {
	if fields := strings.Fields(string(b)); len(fields) > 2 && fields[2] == "upgrades," {
		if n, _ := strconv.Atoi(fields[1]); n > 1 {
			w.interrupt()
		}
	}
	return w.Buffer.Write(b)
}

// TestHolds soaks until it is interrupted. All checks hold, and there is something to show.
func TestHolds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &impatient{interrupt: cancel}
	if err := brief(t, time.Minute).runSoak(ctx, out); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, want := range []string{"stopping early", "| **lost** | **0** |", "all checks have held"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// TestBreaks: a server with all faults at once fails the checks that are for them.
func TestBreaks(t *testing.T) {
	t.Parallel()
	o := brief(t, 600*time.Millisecond)
	o.breaks = own.Breaks
	var out bytes.Buffer
	err := o.runSoak(t.Context(), &out)
	if err == nil {
		t.Fatalf("all checks have held\n%s", &out)
	}
	for _, c := range []check{checkRequests, checkConnections, checkLog, checkLedgers, checkGoroutines, checkDescriptors, checkMemory} {
		if !strings.Contains(err.Error(), string(c)+" (") {
			t.Errorf("the check on %s has held: %v\n%s", c, err, &out)
		}
	}
}

// TestNoServer: a server that does not come up is an error, and leaves nothing behind.
func TestNoServer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no time")
	cancel(why)
	var out bytes.Buffer
	if err := brief(t, time.Second).runSoak(ctx, &out); !errors.Is(err, why) {
		t.Errorf("%v\n%s", err, &out)
	}
}
