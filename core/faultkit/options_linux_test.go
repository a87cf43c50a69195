package main

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"syscall"
	"testing"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ line, want string }{
		{"", ""},
		{"-url http://:{port}/", "name the program behind the flags"},
		{"./no-such-program", "build it first"},
		{"sh", "no -url: where does the program answer?"},
		{"-url ftp://host/ sh", "has to begin with http:// or https://"},
		{"-url http:///path sh", "no host"},
		{"-bound 0s", "more than nothing"},
		{"-run [", "missing closing ]"},
		{"-soak 1m -break memory,log -seed 1", ""},
		{"-soak 1m -break nonsense", "no break is called"},
		{"-soak -1s", "for some time"},
		{"-soak 1m -url http://127.0.0.1:{port}/ sh", "without a program"},
		{"-signal KILL", "not one of HUP, USR1, USR2"},
		{"-url http://127.0.0.1:{port}/ sh -c true", ""},
		{"-h", portWord},
	} {
		var out bytes.Buffer
		_, err := parse(strings.Fields(tt.line), &out)
		if (err != nil) != (tt.want != "") || errors.Is(err, flag.ErrHelp) != (tt.line == "-h") || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%q: %v, %s", tt.line, err, &out)
		}
	}
	o, err := parse(strings.Fields("-signal SIGHUP -url http://localhost:8080/ -parallel 4 sh -addr :8080"), t.Output())
	switch {
	case err != nil:
		t.Error(err)
	case o.parallel != 1:
		t.Errorf("%d cells at a time would share a port", o.parallel)
	case o.signal != syscall.SIGHUP || o.program[0] == "sh" || o.program[1] != "-addr":
		t.Errorf("%+v", o)
	}
}
