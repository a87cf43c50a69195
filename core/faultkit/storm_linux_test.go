package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
)

// TestStorm is the short form of all storms. An hour of them is "make storm".
func TestStorm(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short leaves out what starts services for many seconds")
	}
	o := &options{stormFor: time.Duration(len(storms)) * time.Second, seed: 1, bound: time.Minute, short: true,
		program: []string{build(t, "./server", raceFlag()...)}}
	var out bytes.Buffer
	if err := o.runStorms(t.Context(), &out); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	if n := strings.Count(out.String(), "0 lost, 0 crossed"); n != len(storms) {
		t.Errorf("%d of %d storms have held\n%s", n, len(storms), &out)
	}
	t.Logf("\n%s", &out)
}

// TestReadRuns: a request that the handler ran for twice is found.
func TestReadRuns(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), own.Runs)
	if err := os.WriteFile(path, []byte("7 a client 1\n8 b client 1\n8 a client 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := readRuns(path)
	if err != nil || r.total != 3 || len(r.processes) != 2 || len(r.twice) != 1 || r.twice[0] != "a client 1" {
		t.Errorf("%+v, %v", r, err)
	}
}
