package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

func TestMain(m *testing.M) {
	if err := procgroup.AdoptOrphans(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(proctest.Main(m))
}

// server builds the kit's server.
func server(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server")
	proctest.Build(t, path, "./server")
	return path
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ line, want string }{
		{"", ""},
		{"-short -run ^move/ -rate 100", ""},
		{"-run [", "missing closing ]"},
		{"-rate -1", "0 or more"},
		{"-build a -against b", "another time"},
		{"-against /no-such-file", "build it first"},
		{"-server /no-such-file", "build it first"},
		{"program", "is no flag"},
		{"-h", "usage:"},
	} {
		var out bytes.Buffer
		_, err := parse(strings.Fields(tt.line), &out)
		failed, help := tt.want != "", tt.line == "-h"
		if (err != nil) != failed || errors.Is(err, flag.ErrHelp) != help || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%q: %v, %s", tt.line, err, &out)
		}
	}
	o, err := parse([]string{"-run", "^p99/(0|1000)$", "-rate", "5000"}, t.Output())
	must.Do(t, err)
	if want := "go run ./core/benchkit -run '^p99/(0|1000)$' -rate 5000"; o.command != want {
		t.Errorf("%s, want %s", o.command, want)
	}
}

// TestShort measures a little of each mode with real processes, two builds against each other.
func TestShort(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short leaves out what starts services for many seconds")
	}
	path := server(t)
	var out bytes.Buffer
	var progress procgroup.Output // which several goroutines write to
	args := []string{
		"-short", "-rate", "2000", "-server", path, "-against", path, "-run", "^(steady|steady/.*|p99/100|move/100|series/(100|5-listeners|20-in-flight|4-in-a-row)|memory/100)$",
	}
	if err := run(t.Context(), args, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	t.Logf("\n%s", &out)
	got := readTables(t, out.String())
	for name, want := range map[string]struct {
		rows   int
		titles string // of what is measured
	}{
		"steady":            {5, "requests/s; against net/http; CPU of the server for a request, µs; against net/http"},
		"steady/h2c":        {5, "requests/s; against net/http; CPU of the server for a request, µs; against net/http"},
		"steady/tls":        {11, "requests/s; against net/http; CPU of the server for a request, µs; against net/http"},
		"steady/tls-h2":     {11, "requests/s; against net/http; CPU of the server for a request, µs; against net/http"},
		"steady/tls-bulk":   {11, "requests/s; against net/http; CPU of the server for a request, µs; against net/http"},
		"p99":               {3, "p99 around, µs; p99 elsewhere, µs; ratio; slowest around, ms; slowest elsewhere, ms; move, ms; lost"},
		"move":              {3, "draining to end, ms; lost"},
		"series":            {3 * 3, "signal to current, ms; draining to end, ms; lost"},
		"series/4-in-a-row": {4 * 2, "signal to current, ms; draining to end, ms; RSS, MB; descriptors; threads; lost"},
		"memory": {3, "idle connection, kB; old before, MB; old in its drain, MB; CPU of the old meanwhile, ms; new, MB; " +
			"parked connection, kB; lost"},
	} {
		table := got[name]
		if len(table) != 1+want.rows || !strings.HasSuffix(strings.Join(table[0], "; "), want.titles) {
			t.Errorf("%s: %q", name, table)
		}
	}
}

// readTables returns the rows of each table, by its title, the names of the columns first. Each field of a measure has to be a number or empty.
func readTables(t *testing.T, text string) map[string][][]string {
	t.Helper()
	names := []string{"cell", "server", "upgrades"}
	figure := regexp.MustCompile(`^(-?[\d.]+( [(\[]-?[\d.]+\.\.-?[\d.]+[)\]])?)?$`)
	tables, title := map[string][][]string{}, ""
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			title = strings.TrimSpace(name)
		}
		row, ok := strings.CutPrefix(strings.TrimSpace(line), "| ")
		if !ok {
			continue
		}
		fields := strings.Split(strings.TrimSuffix(row, " |"), " | ")
		tables[title] = append(tables[title], fields)
		head := tables[title][0]
		switch {
		case len(fields) != len(head):
			t.Errorf("%s: %d fields, and %d columns: %s", title, len(fields), len(head), line)
		case len(tables[title]) > 1:
			for i, field := range fields {
				if slices.Contains(names, head[i]) == figure.MatchString(field) && head[i] != "cell" {
					t.Errorf("%s: %q is %q", title, head[i], field)
				}
				if lost := head[i] == "lost"; lost && strings.Trim(field, "0 ") != "" {
					t.Errorf("%s: lost: %q", title, field)
				}
			}
		}
	}
	return tables
}

// TestLosses: in each mode with upgrades a server that breaks connections fails the run.
func TestLosses(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short leaves out what starts services for many seconds")
	}
	broken := build{"broken", server(t), []string{"-break"}}
	for _, cells := range []string{"p99/100", "move/100", "series/100", "series/20-in-flight", "series/4-in-a-row", "memory/100"} {
		t.Run(cells, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			var progress procgroup.Output
			o, err := parse([]string{"-run", "^" + cells + "$", "-rate", "1000"}, &out)
			must.Do(t, err)
			k := &kit{options: o, sizes: short, out: &out, errOut: &progress, builds: []build{broken}}
			if err := k.run(t.Context()); err == nil || !strings.Contains(err.Error(), "were lost, or connections broke") {
				t.Errorf("%v\n%s\n%s", err, &out, &progress)
			}
		})
	}
}

// TestNotPossible: a cell for which there are too few descriptors is none that failed, and its row says why.
func TestNotPossible(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	k := &kit{options: &options{}, limit: 1000, out: &out, errOut: &out}
	must.Do(t, k.compare(t.Context(), "mode", "", []string{"measure"}, []cell{{name: "900", conns: 900, rounds: 1}}))
	if want := "| 900 | not possible: it takes 1500 descriptors, and RLIMIT_NOFILE is 1000 |  |  |\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("%s", &out)
	}
}
