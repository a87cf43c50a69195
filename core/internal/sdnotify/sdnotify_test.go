package sdnotify

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

func env(vars ...string) func(string) string {
	return func(key string) string {
		for i := 0; i < len(vars); i += 2 {
			if vars[i] == key {
				return vars[i+1]
			}
		}
		return ""
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	if s, err := Open(env()); s != nil || err != nil {
		t.Errorf("without %s: %v %v", EnvSocket, s, err)
	} else if err := s.Send(Ready); err != nil {
		t.Error(err)
	}
	if _, err := Open(env(EnvSocket, "tmp/x")); err == nil || !strings.Contains(err.Error(), EnvSocket) {
		t.Errorf("a relative path: %v", err)
	}
	s := must.Get(Open(env(EnvSocket, "/nowhere/at/all")))(t)
	if err := s.Send(Ready); err == nil || !strings.Contains(err.Error(), "/nowhere/at/all") {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestStatusIsOneLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a\n b\tREADY=1\n":                     "STATUS=a b READY=1",
		"v1\vMAINPID=1\r\x00\x1b[2J\xff\u202e": `STATUS=v1 MAINPID=1 \x00\x1b[2J?\u202e`,
		strings.Repeat("x", maxStatus+1):       "STATUS=" + strings.Repeat("x", maxStatus-3) + "...",
	} {
		if got := Status(in); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWatchdogInterval(t *testing.T) {
	t.Parallel()
	own, other := fmt.Sprint(os.Getpid()), fmt.Sprint(os.Getpid()+1)
	for _, c := range []struct {
		usec, pid string
		inherited bool
		want      time.Duration
		bad       bool
	}{
		{"", own, false, 0, false},
		{"3000000", own, false, 3 * time.Second, false},
		{"3000000", "", false, 3 * time.Second, false},
		{"3000000", other, false, 0, false},
		{"3000000", other, true, 3 * time.Second, false},
		{"0", own, false, 0, true},
		{"-1", own, false, 0, true},
		{"9223372036854775807", own, false, 0, true},
		{"3s", own, false, 0, true},
	} {
		got, err := WatchdogInterval(env("WATCHDOG_USEC", c.usec, "WATCHDOG_PID", c.pid), c.inherited)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%+v: %v %v", c, got, err)
		}
	}
}

func TestReloadingHasTheTime(t *testing.T) {
	t.Parallel()
	if _, ok := monotonic(); !ok {
		t.Skip("CLOCK_MONOTONIC is read on Linux only")
	}
	r := Reloading()
	var usec int64
	if len(r) != 2 || r[0] != "RELOADING=1" {
		t.Fatalf("%q", r)
	}
	if _, err := fmt.Sscanf(r[1], "MONOTONIC_USEC=%d", &usec); err != nil || usec <= 0 {
		t.Errorf("%q: %v", r[1], err)
	}
}
