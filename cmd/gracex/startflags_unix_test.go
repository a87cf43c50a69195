//go:build unix

package main

import (
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core/control"
)

// TestStart: an upgrade passes a new environment and new arguments on.
func TestStart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("probation", "10ms")
	s.start()
	s.write("app.env", "# the version\nAPP_VERSION=v7\n")
	s.expect(control.ExitOK, []string{"upgraded", "(v7)"}, "upgrade", "--env-file", "app.env")
	s.expect(control.ExitOK, []string{"(v7-x=1)"}, "upgrade", "--args", "--", "-x=", "1")
	s.expect(control.ExitOK, []string{"(v7-x=1)\n"}, "upgrade")
	s.expect(control.ExitOK, []string{"(v7), "}, "upgrade", "--args")
	s.write("play.env", playEnv+"=app\n")
	s.vars = []string{"APP_VERSION=v9"}
	s.expect(control.ExitOK, []string{"(v9)"}, "upgrade", "--env", "--env-file", "play.env")

	s.write("bad.env", "export APP_VERSION=v7\n")
	s.expect(control.ExitUsage, []string{"--env-file", "bad.env:1: ", "without export"}, "upgrade", "--env-file", "bad.env")
	s.expect(control.ExitUsage, []string{"--env-file", "none.env"}, "upgrade", "--env-file", "none.env")
	s.expect(control.ExitUsage, []string{`"x"`, "--args --"}, "upgrade", "x")
	s.expect(control.ExitUsage, []string{`"x" comes before --`}, "upgrade", "--args", "x", "--", "y")
	s.expect(control.ExitUsage, []string{`"x" comes before --`}, "upgrade", "--args", "x")
}

// TestStartWarning: under systemd an upgrade says what has changed in the unit, and works.
func TestStartWarning(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("probation", "10ms")
	s.vars = []string{"INVOCATION_ID=1", "APP_VERSION=v1"}
	s.start()
	s.vars = []string{"INVOCATION_ID=1", "APP_VERSION=v2"}
	s.expect(control.ExitOK, []string{"warning: the unit's environment has changed", "APP_VERSION", "(v1), "}, "upgrade")
	r := s.expect(control.ExitOK, []string{`"warnings":["the unit's environment has changed`}, "upgrade", "--json")
	if r.err != "" {
		t.Errorf("beside the object: %s", r.err)
	}
	if r := s.expect(control.ExitOK, []string{"(v1), "}, "upgrade", "--env=false"); strings.Contains(r.err, "warning") {
		t.Errorf("a warning that was not wanted: %s", r.err)
	}
}
