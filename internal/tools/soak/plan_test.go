package main

import "testing"

// TestPlan: a plan is taken once, by the process that it is for.
func TestPlan(t *testing.T) {
	t.Parallel()
	p := newPlan(t.TempDir())
	if how := p.take(false); how != "" {
		t.Errorf("there was no plan: %q", how)
	}
	for _, how := range allFailures {
		old := how == failVeto
		if err := p.set(how); err != nil {
			t.Fatal(err)
		}
		if got := p.take(!old); got != "" {
			t.Errorf("%s was taken by the wrong process", got)
		}
		if got := p.take(old); got != how {
			t.Errorf("got %q, want %q", got, how)
		}
		if got := p.take(old); got != "" {
			t.Errorf("%s was taken twice", got)
		}
	}
	if err := p.set(failExit); err != nil {
		t.Fatal(err)
	}
	p.clear()
	if got := p.take(false); got != "" {
		t.Errorf("%s was there after clear", got)
	}
}
