//go:build unix

package owner

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestRuntimeDir is not parallel: the variable is the process's.
func TestRuntimeDir(t *testing.T) {
	dir := must.Get(filepath.EvalSymlinks(t.TempDir()))(t)
	for name, tt := range map[string]struct {
		value, want string
		mode        fs.FileMode
		refused     bool
	}{
		"not set":               {"", "", 0o700, false},
		"no path":               {"run", "", 0o700, false},
		"its own":               {dir, dir, 0o700, false},
		"where others write":    {dir, "", 0o777, true},
		"one that is not there": {dir + "/none", dir + "/none", 0o700, false},
	} {
		must.Do(t, os.Chmod(dir, tt.mode))
		t.Setenv("XDG_RUNTIME_DIR", tt.value)
		got, err := RuntimeDir()
		if got != tt.want || tt.refused != errors.As(err, new(*Error)) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestPeer asks both ends. This process is both.
func TestPeer(t *testing.T) {
	t.Parallel()
	ln := must.Get(net.Listen("unix", filepath.Join(t.TempDir(), "s")))(t)
	defer ln.Close()
	client := must.Get(net.Dial("unix", ln.Addr().String()))(t)
	defer client.Close()
	server := must.Get(ln.Accept())(t)
	defer server.Close()
	for _, c := range []net.Conn{client, server} {
		if uid, known, err := Peer(c); err != nil || known && uid != os.Geteuid() {
			t.Errorf("Peer = %d, %v, %v", uid, known, err)
		}
	}
}
