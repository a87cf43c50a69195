//go:build unix

package core_test

import (
	"net"
	"os"
	"testing"

	"github.com/gracex-go/gracex/core"
)

func TestPassing_SameNameReplacesAndDropEnds(t *testing.T) {
	t.Parallel()
	u := core.NewTest(t)
	must(t, u.AddFile("out", os.Stdout))
	must(t, u.AddFile("out", os.Stdout))
	expectEqual(t, "passed on", u.PassedOn(), 1)
	u.DropFile("out")
	u.DropFile("out")
	expectEqual(t, "passed on after a drop", u.PassedOn(), 0)
}

func TestPassing_RefusalNamesTheThing(t *testing.T) {
	t.Parallel()
	u := core.NewTest(t)
	c, _ := net.Pipe()
	for want, do := range map[string]func() error{
		"needs a name":               func() error { return u.AddFile("", os.Stdout) },
		"shows no descriptor":        func() error { return u.AddConn("x", c) },
		"the listener that it wraps": func() error { _, err := u.AddListener(struct{ net.Listener }{}); return err },
		`connection "x": the old`:    func() error { _, err := u.Conn("x"); return err },
		`file "x": the old`:          func() error { _, err := u.File("x"); return err },
		"listen tcp 127.0.0.1:1: ":   func() error { _, err := u.Listener("tcp", "127.0.0.1:1"); return err },
		"file does not exist":        func() error { _, err := u.PacketConn("udp", ":1"); return err },
	} {
		expectError(t, do(), want)
	}
}
