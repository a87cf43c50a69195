//go:build unix

package proctest

import (
	"strings"
	"testing"
)

// TestApart_FailsWithItsProcess: what fails in the process of its own fails here, and says why.
func TestApart_FailsWithItsProcess(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: t}
	if Apart(r) {
		t.Fatal("on purpose")
	}
	if !r.failed || !strings.Contains(r.logged, "on purpose") {
		t.Errorf("failed %v: %s", r.failed, r.logged)
	}
}

// TestApart_FailsIfItDidNotRun: a process in which no test has run has ended well.
func TestApart_FailsIfItDidNotRun(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: unknown{t}}
	if Apart(r) {
		t.Fatal("it is to go on here")
	}
	if !r.failed || !strings.Contains(r.logged, "no tests to run") {
		t.Errorf("failed %v: %s", r.failed, r.logged)
	}
}

// unknown has a name that no test has.
type unknown struct{ testing.TB }

func (unknown) Name() string { return "TestUnknown" }
