package deploytest

import (
	"os"
	"testing"
)

// Need ends the test if err is one: the machine lacks what the test is about. It is
// skipped, with the remedy, and fails where the environment variable env is set.
func Need(t *testing.T, env string, err error, remedy string) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv(env) != "":
		t.Fatalf("%s is set, and: %v; %s", env, err, remedy)
	default:
		t.Skipf("%v; %s", err, remedy)
	}
}
