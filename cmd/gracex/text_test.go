package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
)

func TestStatusText(t *testing.T) {
	t.Parallel()
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	cut := now.Add(12 * time.Second)
	got := statusText(control.Status{
		PID: 4720, Supervisor: 1, Program: "/srv/shop/shop", Version: "1.5.0", PIDFile: "/run/shop.pid",
		Generations: []control.Generation{
			{
				Generation: 8, PID: 4720, State: "current", Probation: true, Version: "1.5.0", Started: now.Add(-2 * time.Second),
				Requests: 3, Idle: 37, Connections: 40, Hijacked: 2, Memory: 19293798,
				Listeners: []control.Listener{
					{Network: "tcp", Address: "[::]:8080"}, {Name: "metrics", Network: "tcp", Address: "[::]:9090"},
					{Network: "tcp", Address: "127.0.0.1:6060", Outside: true},
				},
			},
			{Generation: 7, PID: 4711, State: "probation", Version: "1.4.2", Started: now.Add(-49 * time.Hour), Requests: 1, Connections: 310, Idle: 300},
			{Generation: 6, PID: 4650, State: "draining", Started: now.Add(-75 * time.Minute), Requests: 1, Connections: 1, Deadline: &cut},
			{Generation: 5, PID: 4600, State: "unknown"},
		},
	}, now)
	want := `/srv/shop/shop  1.5.0  supervisor 1  pid file /run/shop.pid

GEN  PID   STATE                   VERSION  AGE    REQUESTS  CONNECTIONS               MEMORY
8    4720  current, on probation   1.5.0    2s     3         40 (37 idle) + 2 hijacked  18.4 MiB
7    4711  probation               1.4.2    2d01h  1         310 (300 idle)            -
6    4650  draining, cut in 12s    -        1h15m  1         1 (0 idle)                -
5    4600  unknown                 -        -      0         0 (0 idle)                -

listens on [::]:8080, metrics [::]:9090

process 4720 also listens on 127.0.0.1:6060 outside gracex: an upgrade does not hand it over;
open it with core.AlsoServe or core.Listen
`
	if fields(got) != fields(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	table := strings.Split(got, "\n\n")[1]
	for l := range strings.Lines(table) {
		if !strings.Contains(l, "  ") || len(l) > 110 {
			t.Errorf("not a table: %q", l)
		}
	}
}

// fields is a text with its columns not aligned.
func fields(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestBar(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		part, whole float64
		want        string
	}{{0, 10, "[....]"}, {5, 10, "[##..]"}, {10, 10, "[####]"}, {11, 10, "[####]"}, {-1, 10, "[....]"}, {0, 0, "[####]"}} {
		if got := bar(c.part, c.whole, 4); got != c.want {
			t.Errorf("%v of %v: %s, want %s", c.part, c.whole, got, c.want)
		}
	}
}

// TestNoEscapes: what is no terminal gets no escape sequences and no moving lines.
func TestNoEscapes(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	s := newScreen(&b)
	s.moving("moves")
	_ = s.line("%s", s.paint(red, "stays"))
	s.clear()
	if strings.ContainsAny(b.String(), "\x1b\r") || strings.Contains(b.String(), "moves") {
		t.Errorf("%q", &b)
	}
}

// TestHelp: every command has an example, and says what it is for.
func TestHelp(t *testing.T) {
	t.Parallel()
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Short == "" || c.Example == "" && c.Name() != "help" && !strings.HasPrefix(c.CommandPath(), "gracex completion") {
			t.Errorf("%s: %q, example %q", c.CommandPath(), c.Short, c.Example)
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(stdio{}))
}
