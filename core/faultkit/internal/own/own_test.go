package own

import "testing"

// TestPlan: a plan is taken once, by the process that it is for.
func TestPlan(t *testing.T) {
	t.Parallel()
	p := NewPlan(t.TempDir())
	for _, how := range AllFailures {
		old := how == FailVeto
		if err := p.Set(how); err != nil {
			t.Fatal(err)
		}
		if a, b, c := p.Take(!old), p.Take(old), p.Take(old); a != "" || b != how || c != "" {
			t.Errorf("%s: %q, %q, %q", how, a, b, c)
		}
	}
	if err := p.Set(FailExit); err != nil {
		t.Fatal(err)
	}
	p.Clear()
	if got := p.Take(false); got != "" {
		t.Errorf("%q after Clear", got)
	}
}
