package proctest

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// envApart makes this process one that has a single test to run.
const envApart = "GRACEX_TEST_APART"

// Apart reports whether the calling test is to go on here. It is not to when it was started with the others: then Apart
// has run it in a process of its own, and has told t how that went. It is for a test that waits for seconds and holds what
// the tests of a process have once, so that the others would wait, too. TestMain has to call Play.
func Apart(t testing.TB) (here bool) {
	t.Helper()
	if os.Getenv(envApart) != "" {
		return true
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(t.Name(), "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.v", "-test.run="+strings.Join(parts, "/"), "-test.timeout="+(2*Patience).String())
	cmd.Env = append(os.Environ(), envApart+"=1")
	in, err := cmd.StdinPipe() // see EndWithInput
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
		t.Errorf("in a process of its own: %v\n%s", err, out)
	}
	return false
}
