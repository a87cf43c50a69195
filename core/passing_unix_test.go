//go:build unix

package core

import (
	"net"
	"os"
	"strings"
	"testing"
)

// TestPassedOnBadInput: errors say what is wrong.
func TestPassedOnBadInput(t *testing.T) {
	u := NewTest(t)
	c, _ := net.Pipe()
	for want, do := range map[string]func() error{
		"needs a name":               func() error { return u.AddFile("", os.Stdout) },
		"shows no descriptor":        func() error { return u.AddConn("x", c) },
		"the listener that it wraps": func() error { _, err := u.AddListener(struct{ net.Listener }{}); return err },
		`connection "x": the old`:    func() error { _, err := u.Conn("x"); return err },
		`file "x": the old`:          func() error { _, err := u.File("x"); return err },
		"listen tcp 127.0.0.1:1: ":   func() error { _, err := u.Listener("tcp", "127.0.0.1:1"); return err },
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	must(t, u.AddFile("out", os.Stdout))
	must(t, u.AddFile("out", os.Stdout)) // in its place
	if n := len(u.passing.all()); n != 1 {
		t.Errorf("%d are passed on", n)
	}
	u.DropFile("out")
	u.DropFile("out")
	if n := len(u.passing.all()); n != 0 {
		t.Errorf("%d are passed on", n)
	}
}
