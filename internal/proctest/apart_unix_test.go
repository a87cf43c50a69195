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
