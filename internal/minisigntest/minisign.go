// Package minisigntest has tests use minisign(1), as those do who sign releases with it.
package minisigntest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// envMust has tests fail where minisign is not installed. Without it they are skipped there.
const envMust = "CORE_TEST_MINISIGN"

// Must reports whether minisign has to be here.
func Must() bool { return os.Getenv(envMust) != "" }

// Installed reports whether it is here. It fails the test if it has to be.
func Installed(t testing.TB) bool {
	t.Helper()
	_, err := exec.LookPath("minisign")
	if err != nil && Must() {
		t.Fatal(err)
	}
	return err == nil
}

// Run runs it in a directory, with the words of input for a password that it asks for, and returns what it has said.
func Run(t testing.TB, dir, input string, args ...string) string {
	t.Helper()
	if !Installed(t) {
		t.Skip("minisign is not installed")
	}
	c := exec.Command("minisign", args...)
	c.Dir, c.Stdin = dir, strings.NewReader(input)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("minisign %q: %v\n%s", args, err, out)
	}
	return string(out)
}
