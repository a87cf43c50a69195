package macaronx

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"gopkg.in/macaron.v1"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/must"
)

// Not parallel: the environment is the process's.
func TestArguments(t *testing.T) {
	opt := core.WithPIDFile("")
	for _, tt := range []struct {
		host, port string // the environment's
		args       []any
		addr, err  string
	}{
		{"", "", nil, "0.0.0.0:4000", ""},
		{"::1", "3000", nil, "[::1]:3000", ""},
		{"", "3000", []any{opt}, "0.0.0.0:3000", ""},
		{"", "three", nil, "0.0.0.0:4000", ""}, // so does Macaron
		{"example", "3000", []any{"127.0.0.1", 8080}, "127.0.0.1:8080", ""},
		{"example", "3000", []any{"127.0.0.1"}, "127.0.0.1:3000", ""},
		{"example", "3000", []any{8080}, "example:8080", ""},
		{"", "", []any{"", 8080}, ":8080", ""},
		{"", "", []any{0}, "0.0.0.0:0", ""},
		{"", "", []any{opt, "localhost", opt, 8080, opt}, "localhost:8080", ""},
		{"", "3000", []any{":8080"}, ":8080", ""},
		{"", "3000", []any{"[::1]:8080"}, "[::1]:8080", ""},
		{"", "3000", []any{"::1"}, "[::1]:3000", ""},
		{"", "3000", []any{"[::1]"}, "[::1]:3000", ""},
		{"[::1]", "3000", []any{[]core.Option{opt, opt}}, "[::1]:3000", ""},
		{"", "", []any{":8080", 8080}, "", `got the address ":8080" and the port 8080`},
		{"", "", []any{8080, "127.0.0.1"}, "", `can't use string 127.0.0.1`},
		{"", "", []any{"a", "b"}, "", `can't use string b`},
		{"", "", []any{1, 2}, "", `can't use int 2`},
		{"", "", []any{"a", "8080"}, "", `can't use string 8080`},
		{"", "", []any{80.5}, "", `can't use float64 80.5`},
		{"", "", []any{nil}, "", `can't use <nil>`},
	} {
		t.Setenv("HOST", tt.host)
		t.Setenv("PORT", tt.port)
		addr, opts, err := parse(tt.args)
		switch {
		case tt.err != "":
			if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.HasPrefix(err.Error(), "macaronx: ") {
				t.Errorf("Run(m, %v): %v, want macaronx: ...%s", tt.args, err, tt.err)
			}
		case err != nil || addr != tt.addr:
			t.Errorf("HOST=%s PORT=%s Run(m, %v): %q, %v, want %q", tt.host, tt.port, tt.args, addr, err, tt.addr)
		}
		given := 0
		for _, arg := range tt.args {
			switch arg := arg.(type) {
			case core.Option:
				given++
			case []core.Option:
				given += len(arg)
			}
		}
		if err == nil && len(opts) != given {
			t.Errorf("Run(m, %v): %d options", tt.args, len(opts))
		}
	}
}

// Each run method says where to whom Macaron says it, and returns an error that names what it could not open.
func TestErrorsNameTheAddress(t *testing.T) {
	dir := t.TempDir()
	taken := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer taken.Close()
	address := taken.Addr().String()
	closed := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	closed.Close()
	for _, tt := range []struct {
		want string
		run  func(*SelfMacaron) error
	}{
		{address, func(m *SelfMacaron) error { return Run(m.Macaron, address) }},
		{address, func(m *SelfMacaron) error { return RunAddr(m.Macaron, address) }},
		{address, func(m *SelfMacaron) error { return m.Run("127.0.0.1", taken.Addr().(*net.TCPAddr).Port) }},
		{"127.0.0.1:nonsense", func(m *SelfMacaron) error { return m.RunAddr("127.0.0.1:nonsense") }},
		{dir + "/crt", func(m *SelfMacaron) error { return m.RunTLS("127.0.0.1:0", dir+"/crt", dir+"/key") }},
		{dir + "/none/sock", func(m *SelfMacaron) error { return m.RunUnix(dir + "/none/sock") }},
		{closed.Addr().String(), func(m *SelfMacaron) error { return m.RunListener(closed) }},
	} {
		var log bytes.Buffer
		err := tt.run(&SelfMacaron{Macaron: macaron.NewWithLogger(&log)})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "gracex: ") {
			t.Errorf("error %v, want gracex: ...%s...", err, tt.want)
		}
		if !strings.HasPrefix(log.String(), "[Macaron] listening on ") || !strings.HasSuffix(log.String(), " (development)\n") {
			t.Errorf("logs %q", log.String())
		}
	}
}
