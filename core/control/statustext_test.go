package control

import (
	"strings"
	"testing"
	"time"
)

func TestStatusText_FitsTheTerminal(t *testing.T) {
	t.Parallel()
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	cut := now.Add(12 * time.Second)
	status := Status{
		PID: 4720, Supervisor: 1, Program: "/srv/shop/shop", Version: "1.5.0", PIDFile: "/run/shop.pid",
		Generations: []Generation{
			{
				Generation: 8, PID: 4720, State: "current", Probation: true, Version: "1.5.0", Started: now.Add(-2 * time.Second),
				Requests: 3, Idle: 37, Connections: 40, Hijacked: 2, Memory: 19293798,
				Listeners: []Listener{
					{Network: "tcp", Address: "[::]:8080"}, {Name: "metrics", Network: "tcp", Address: "[::]:9090"},
					{Network: "tcp", Address: "127.0.0.1:6060", Outside: true},
				},
			},
			{Generation: 7, PID: 4711, State: "probation", Version: "1.4.2", Started: now.Add(-49 * time.Hour), Requests: 1, Connections: 310, Idle: 300},
			{Generation: 6, PID: 4650, State: "draining", Started: now.Add(-75 * time.Minute), Requests: 1, Connections: 1, Deadline: &cut, Moved: 310, MovedHTTP2: 12, StayedHTTP2: 1, MovedTLS: 30, StayedTLS: 2},
			{Generation: 5, PID: 4600, State: "unknown"},
		},
		LastUpgrade: &LastUpgrade{At: now.Add(-2 * time.Minute), Outcome: Outcome{
			Kind: KindRolledBack, OldPID: 4720, OldVersion: "1.5.0", NewPID: 4731, Version: "1.6.0", Release: "1.6.0",
			Reason: "it ended on probation", Exit: "exit status 2", Stderr: []string{"panic: a bug"},
			NextStart: "the next start gets another program",
		}},
	}
	const head = "/srv/shop/shop  1.5.0  supervisor 1  pid file /run/shop.pid\n\n"
	const last = `
process 4650: 310 connections moved (HTTP/2: 12, and 1 stayed; TLS: 30, and 2 stayed)

listens on [::]:8080, metrics [::]:9090

process 4720 also listens on 127.0.0.1:6060 outside gracex: an upgrade does not hand it over;
open it with core.AlsoServe or core.Listen

last upgrade, 2m00s ago: rolled back: it ended on probation
  the new process was process 4731 (1.6.0), of release 1.6.0
  it ended with exit status 2
  the last that it wrote to stderr:
  | panic: a bug
  process 4720 (1.5.0) serves on; the next start gets another program
`
	for _, tt := range []struct {
		width int
		want  string
	}{
		{0, `GEN  PID   STATE                  VERSION  AGE    REQUESTS  CONNECTIONS                MEMORY
8    4720  current, on probation  1.5.0    2s     3         40 (37 idle) + 2 hijacked  18.4 MiB
7    4711  probation              1.4.2    2d01h  1         310 (300 idle)             -
6    4650  draining, cut in 12s   -        1h15m  1         1 (0 idle)                 -
5    4600  unknown                -        -      0         0 (0 idle)                 -
`},
		{94, `GEN  PID   STATE                  VERSION  AGE    REQUESTS  CONNECTIONS
8    4720  current, on probation  1.5.0    2s     3         40 (37 idle) + 2 hijacked
7    4711  probation              1.4.2    2d01h  1         310 (300 idle)
6    4650  draining, cut in 12s   -        1h15m  1         1 (0 idle)
5    4600  unknown                -        -      0         0 (0 idle)
`},
		{55, `GEN  PID   STATE                  VERSION  REQUESTS
8    4720  current, on probation  1.5.0    3
7    4711  probation              1.4.2    1
6    4650  draining, cut in 12s   -        1
5    4600  unknown                -        0
`},
		{10, `GEN  PID   STATE
8    4720  current, on probation
7    4711  probation
6    4650  draining, cut in 12s
5    4600  unknown
`},
	} {
		if got := StatusText(status, now, tt.width); got != head+tt.want+last {
			t.Errorf("%d columns: got\n%s\nwant\n%s", tt.width, got, head+tt.want+last)
		}
	}
}

// TestOutcome_SaysNothingTwice has the kind once, also if the reason begins with it.
func TestOutcome_SaysNothingTwice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		o    Outcome
		want string
		code int
	}{
		{Outcome{OK: true, Kind: KindUpgraded, OldPID: 1, OldVersion: "v1", NewPID: 2, Generation: 3, Took: 1234567890}, "upgraded process 1 (v1) -> process 2, generation 3, in 1.235s", 0},
		{Outcome{Kind: KindRolledBack, Reason: "rolled back by the operator: slow"}, "rolled back by the operator: slow", 5},
		{Outcome{Kind: KindTimedOut, Reason: "it was not ready in time"}, "timed out: it was not ready in time", 6},
		{Outcome{Kind: KindRefused, Reason: "not on a Friday"}, "refused: not on a Friday", 4},
		{Outcome{Kind: KindFailed, Reason: "no such file"}, "failed: no such file", 1},
	} {
		if got := tt.o.String(); got != tt.want || tt.o.ExitStatus() != tt.code {
			t.Errorf("%q with exit status %d, want %q with %d", got, tt.o.ExitStatus(), tt.want, tt.code)
		}
	}
}

func TestStatusText_NamesReleases(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ runs, next, want string }{
		{"", "", ""},
		{"1.5.0", "1.5.0", "\nrelease 1.5.0\n"},
		{"1.5.0", "1.4.2", "\nruns release 1.5.0, and the next start gets 1.4.2\n"},
		{"1.5.0", "", "\nruns release 1.5.0\n"},
		{"", "1.5.0\x1b", "\nthe next start gets release 1.5.0\\x1b\n"},
	} {
		got := StatusText(Status{Program: "/srv/shop", NextRelease: tt.next, Generations: []Generation{{Release: tt.runs}}}, time.Now(), 0)
		if _, rest, _ := strings.Cut(got, "\n\n"); !strings.HasSuffix(rest, "-\n"+tt.want) {
			t.Errorf("%q, %q: %q", tt.runs, tt.next, got)
		}
	}
}
