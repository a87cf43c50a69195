package own

import "testing"

// TestPlan: a plan is taken once, by the process that it is for.
func TestPlan(t *testing.T) {
	t.Parallel()
	p := NewPlan(t.TempDir())
	take := func(old bool, want string) {
		t.Helper()
		if got := p.Take(old); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	take(false, "")
	for _, how := range AllFailures {
		old := how == FailVeto
		if err := p.Set(how); err != nil {
			t.Fatal(err)
		}
		take(!old, "")
		take(old, how)
		take(old, "")
	}
	if err := p.Set(FailExit); err != nil {
		t.Fatal(err)
	}
	p.Clear()
	take(false, "")
}
