package main

import (
	"testing"
	"time"
)

func TestSample(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		s               sample
		ranged, quarter string
	}{
		{nil, "-", "-"},
		{sample{5}, "5.00", "5.00"},
		{sample{300, 100, 200}, "200 (100..300)", "200 [100..300]"},
		{sample{0.5, 12.34, 1.5, 123.4, 2.5}, "2.50 (0.500..123)", "2.50 [1.500..12.3]"},
	} {
		if r, q := tt.s.ranged(), tt.s.quartered(); r != tt.ranged || q != tt.quarter {
			t.Errorf("%v: %s and %s", tt.s, r, q)
		}
	}
	hundred := make(sample, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	if q := hundred.quantile(0.99); q != 99 {
		t.Errorf("p99 of 1 to 100 is %v", q)
	}
	if r := (sample{2, 9, 4}).over(sample{1, 3, 8}).ranged(); r != "2.00 (0.500..3.00)" {
		t.Errorf("the ratios are %s", r)
	}
}

// TestTimeline: an answer counts for each upgrade that it was under way in, and for the rest of the run only if it met none, and no
// time that is left out.
func TestTimeline(t *testing.T) {
	t.Parallel()
	began := time.Unix(1000, 0)
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	p := &pace{answers: [][]answer{
		{{at(0), 1 * time.Millisecond}, {at(95), 10 * time.Millisecond}, {at(150), 2 * time.Millisecond}},
		{{at(205), 50 * time.Millisecond}, {at(420), 3 * time.Millisecond}, {at(199), 4 * time.Millisecond}},
	}}
	line := timeline{
		upgrades: []span{{at(100), at(200)}, {at(400), at(500)}},
		aside:    []span{{at(204), at(300)}},
		moves:    sample{7, 8},
	}
	want := []string{"3000", "1000", "3.00", "10.0", "1.000", "7.00 (7.00..8.00)"}
	for i, text := range line.judge(p).texts() {
		if text != want[i] {
			t.Errorf("column %d is %s, want %s", i, text, want[i])
		}
	}
}
