package control

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// service is made up: it has everything that there is to say.
func service(now time.Time) Totals {
	counts := Counts{
		Servers: []ServerCounts{{Server: "[::]:8080", Requests: 51234, Accepted: 1200}, {Server: "metrics", Requests: 300, Accepted: 12}},
		Refused: 1, ClosedPolitely: 12, ClosedIdle: 3,
		Moved: []MovedCounts{
			{Protocol: ProtocolHTTP1, Connections: 200}, {Protocol: ProtocolHTTP1, TLS: true, Connections: 100},
			{Protocol: ProtocolWebSocket, Connections: 10},
		},
		StateBytes:  12595,
		Stayed:      []StayedCounts{{Protocol: ProtocolHTTP2, Reason: "streams", Connections: 2}, {Protocol: "tls", Reason: "version", Connections: 1}},
		CutRequests: 1, CutConnections: 2,
		Upgrades: []UpgradeCounts{
			{Outcome: KindRolledBack, Reason: ReasonOperator, Count: 1}, {Outcome: KindUpgraded, Count: 12},
			{Outcome: KindFailed, Reason: ReasonSaidFailed, Count: 1}, {Outcome: KindRolledBack, Reason: ReasonRejected, Count: 2},
			{Outcome: "new_kind", Count: 1},
		},
		UpgradeSeconds: Histogram{Count: 16, Sum: 8},
		DrainSeconds:   Histogram{Count: 1, Sum: 0.25},
		RequestSeconds: Histogram{Count: 4, Sum: 1, Buckets: []Bucket{{LE: 0.1, Count: 3}, {LE: 1, Count: 1}}},
		RequestErrors:  1,
	}
	return Totals{
		Since: now.Add(-49 * time.Hour), Total: counts,
		Processes: []Account{
			{PID: 4720, Generation: 8, Version: "1.5.0", State: "current", Told: now, Open: Open{Requests: 1, Connections: 40, Hijacked: 2}, Counts: counts},
			{PID: 4711, Generation: 7, State: "draining", Told: now.Add(-3 * time.Second), Open: Open{Connections: 7}},
			{PID: 4700, Generation: 6, State: "draining", Told: now.Add(-time.Hour), Ended: true},
		},
		LastSuccess: now.Add(-2 * time.Minute), LastFailure: now.Add(-26 * time.Hour),
		Missing:      []Missing{{PID: 4650, Generation: 5, Version: "1.4.1", Told: now.Add(-48 * time.Hour)}, {PID: 4600, Generation: 4}},
		MissingCount: 3,
	}
}

func TestTotalsText_HasEverything(t *testing.T) {
	t.Parallel()
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	const missing = `
3 processes were killed before their last word. Missing in all sums is what they have counted:
  generation 5, process 4650 (1.4.1), after 2024-12-31 03:04:05
  generation 4, process 4600, all the time
  1 before these
`
	const servers = `SERVER     REQUESTS  CONNECTIONS
[::]:8080  51234     1200
metrics    300       12
`
	const moved = `moved           310 connections: 200 HTTP/1, 100 HTTP/1 over TLS, 10 WebSocket; 12.3 KiB of state
stayed          3 connections: 2 HTTP/2 (streams), 1 TLS (version)
`
	const want = `counted since 2024-12-31 02:04:05, for 2d01h

` + servers + `
GEN  PID   STATE     VERSION  REQUESTS  CONNECTIONS  MOVED  OPEN                      TOLD
8    4720  current   1.5.0    51534     1212         310    40 (1 busy) + 2 hijacked  now
7    4711  draining  -        0         0            0      7 (0 busy)                3s ago
6    4700  ended     -        0         0            0      0 (0 busy)                1h00m ago

upgrades        12 upgraded; 1 failed (said failed); 3 rolled back (1 operator, 2 rejected); 1 new kind
upgrade time    500ms on average of 16
last good one   2m00s ago
last bad one    1d02h ago
` + moved + `closed          12 after an answer that said so, 3 idle, 1 not taken by the next process
cut             1 request, 2 connections
drain time      250ms on average of 1
measured        4 requests: half of them within 100ms, 99 % within 1s; 1 error
` + missing
	if got := TotalsText(service(now), now); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	status := "\nall processes of the service, since 2024-12-31 02:04:05:\n" + servers + moved + missing
	if got := ServersText(service(now), nil, now); got != status {
		t.Errorf("got\n%s\nwant\n%s", got, status)
	}
}

// TestTotalsText_SaysWhatIsNotThere of a service that has begun just now, and nothing of what can't be there yet.
func TestTotalsText_SaysWhatIsNotThere(t *testing.T) {
	t.Parallel()
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	const want = `counted since 2025-01-02 03:04:05, for 0s

upgrades        none
cut             nothing
`
	if got := TotalsText(Totals{Since: now}, now); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	one := Totals{Missing: []Missing{{PID: 7, Told: now}}}
	const killed = "\n1 process was killed before its last word. Missing in all sums is what it has counted:\n" +
		"  generation 0, process 7, after 2025-01-02 03:04:05\n"
	if got := TotalsText(one, now); !strings.HasPrefix(got, "counted since an unknown time\n") || !strings.HasSuffix(got, killed) {
		t.Errorf("%s\nwant %s", got, killed)
	}
}

// TestServersText_IsEmptyForAnOlderApp, and tells any other fault.
func TestServersText_IsEmptyForAnOlderApp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{fmt.Errorf("%w: the app's gracex can't", ErrVersion), ""},
		{errors.New("no answer\x1b"), "\nthe totals of the service are not known: no answer\\x1b\n"},
	} {
		if got := ServersText(Totals{}, tt.err, time.Now()); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.err, got, tt.want)
		}
	}
}

// TestTotalsText_HasNothingThatATerminalObeys in the words of an app.
func TestTotalsText_HasNothingThatATerminalObeys(t *testing.T) {
	t.Parallel()
	const evil = "\x1b[2J\t"
	var c Counts
	c.Servers = []ServerCounts{{Server: evil}}
	c.Moved = []MovedCounts{{Protocol: evil, Connections: 1}}
	c.Stayed = []StayedCounts{{Protocol: evil, Reason: evil, Connections: 1}}
	c.Upgrades = []UpgradeCounts{{Outcome: evil, Reason: evil, Count: 1}, {Outcome: evil, Reason: "b", Count: 1}}
	totals := Totals{
		Total: c, Processes: []Account{{State: evil, Version: evil}}, Missing: []Missing{{Version: evil}},
	}
	for _, got := range []string{TotalsText(totals, time.Now()), ServersText(totals, nil, time.Now())} {
		if strings.Contains(got, "\x1b") {
			t.Errorf("%q", got)
		}
	}
}
