package main

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(envServe); kind != "" {
		if err := server(kind); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// TestMeasure measures a little, with real processes.
func TestMeasure(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := measure(t.Context(), &out, t.Output(), 2, 50*time.Millisecond, 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| with.* \| [1-9][\d.]* \[.* \| ([\d.]+) \[.* \| .* \| .* \| (\d+) \|$`).FindAllStringSubmatch(out.String(), -1)
	if !regexp.MustCompile(`(?m)^A scrape takes \d+ µs of processor time\. One every 20ms takes 0\.\d+ of \d+ cores\.$`).MatchString(out.String()) ||
		len(rows) != 3 || rows[0][1] != "1.0000" || rows[0][2] != "0" || rows[1][2] != "0" || rows[2][2] == "0" {
		t.Errorf("%q\n%s", rows, &out)
	}
}

// TestMeasure_Lost: a server that is gone fails the run.
func TestMeasure_Lost(t *testing.T) {
	t.Parallel()
	r, err := start(t.Context(), withMetrics)
	if err != nil {
		t.Fatal(err)
	}
	if n, scraped, err := r.load(t.Context(), 50*time.Millisecond, 20*time.Millisecond); err != nil || n == 0 || scraped == 0 {
		t.Errorf("%d answers, %d scrapes, %v", n, scraped, err)
	}
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	if _, _, err := r.load(context.Background(), 50*time.Millisecond, 20*time.Millisecond); err == nil || strings.Count(err.Error(), "\n") < connections {
		t.Errorf("each connection breaks, and the scrape: %v", err)
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	if got := spread(over([]float64{2, 3, 8}, []float64{1, 3, 2}), 1); got != "2.0 [1.0..4.0]" {
		t.Error(got)
	}
	if got := spread(nil, 1); got != "- [-..-]" {
		t.Error(got)
	}
}
