package control

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

var testBounds = []float64{0.001, 0.01, 0.1, 1}

// TestHistogram_SumsAreTheSameInAnyOrder, also after a way through JSON.
func TestHistogram_SumsAreTheSameInAnyOrder(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	parts := make([]Histogram, 50)
	for i := range 5000 {
		parts[i%len(parts)].Observe(time.Duration(rnd.Int64N(int64(20*time.Second))), testBounds)
	}
	var want Histogram
	for _, p := range parts {
		want = want.Plus(p)
	}
	for range 20 {
		rnd.Shuffle(len(parts), func(i, k int) { parts[i], parts[k] = parts[k], parts[i] })
		var got Histogram
		for _, p := range parts {
			b, err := json.Marshal(got.Plus(p))
			if err == nil {
				got = Histogram{}
				err = json.Unmarshal(b, &got)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v, want %+v", got, want)
		}
	}
}

// TestHistogram_Quantile and the difference of two states.
func TestHistogram_Quantile(t *testing.T) {
	t.Parallel()
	var h Histogram
	if got := h.Quantile(0.5); got != 0 || !h.IsZero() {
		t.Errorf("of nothing: %v", got)
	}
	for range 98 {
		h.Observe(5*time.Millisecond, testBounds)
	}
	before := h.Plus(Histogram{})
	h.Observe(500*time.Millisecond, testBounds)
	h.Observe(5*time.Second, testBounds)
	for q, want := range map[float64]float64{0.5: 0.01, 0.98: 0.01, 0.99: 1, 1: 1} {
		if got := h.Quantile(q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	since := h.Since(before)
	if since.Count != 2 || since.Quantile(0.5) != 1 || since.Sum != 5.5 {
		t.Errorf("since then: %+v", since)
	}
	if got := before.Since(h); !reflect.DeepEqual(got, before) {
		t.Errorf("an earlier state that is later: %+v", got)
	}
	if before.Count != 98 {
		t.Errorf("a copy has changed: %+v", before)
	}
}

// TestCounts_PlusLeavesBothAlone, and has each label once.
func TestCounts_PlusLeavesBothAlone(t *testing.T) {
	t.Parallel()
	a := Counts{
		Servers: []ServerCounts{{"x", 1, 2}}, Moved: []MovedCounts{{ProtocolHTTP1, false, 3}},
		Stayed: []StayedCounts{{ProtocolHTTP2, "streams", 4}}, Upgrades: []UpgradeCounts{{KindFailed, ReasonExited, 5}},
		Refused: 6, ClosedPolitely: 7, ClosedIdle: 8, StateBytes: 9, CutRequests: 10, CutConnections: 11, CutHijacked: 12,
		CutSockets: 13, CutBackground: 14, RequestErrors: 15,
	}
	a.UpgradeSeconds.Observe(time.Second, testBounds)
	a.DrainSeconds.Observe(2*time.Second, testBounds)
	a.RequestSeconds.Observe(time.Millisecond, testBounds)
	for i := range reflect.TypeOf(a).NumField() {
		f := reflect.TypeOf(a).Field(i)
		if reflect.ValueOf(a).FieldByName(f.Name).IsZero() {
			t.Errorf("the test has no %s", f.Name)
		}
	}
	b := Counts{Servers: []ServerCounts{{"y", 1, 1}, {"x", 1, 1}}}
	doubled := a.Plus(a)
	sum := reflect.ValueOf(doubled)
	for i := range reflect.TypeOf(a).NumField() {
		f := reflect.TypeOf(a).Field(i)
		if reflect.DeepEqual(sum.FieldByName(f.Name).Interface(), reflect.ValueOf(a).FieldByName(f.Name).Interface()) {
			t.Errorf("%s is not added up", f.Name)
		}
	}
	if got := a.Plus(b).Servers; len(got) != 2 || got[0] != (ServerCounts{"x", 2, 3}) || a.Servers[0].Requests != 1 {
		t.Errorf("%+v, of %+v", got, a.Servers)
	}
	if doubled.Requests() != 2 || doubled.Accepted() != 4 || doubled.MovedConnections() != 6 || doubled.UpgradesWith(KindFailed) != 10 {
		t.Errorf("%+v", doubled)
	}
}
