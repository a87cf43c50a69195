//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package fd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

func TestTryLock_ReportsWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f := must.Get(os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600))(t)
		t.Cleanup(func() { f.Close() })
		return f
	}
	expect := func(what string, f *os.File, shared, want bool) {
		t.Helper()
		if got, err := TryLock(f, shared); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", what, got, err, want)
		}
	}
	alone, reader, other := open(), open(), open()
	expect("a file without a lock", alone, false, true)
	expect("again, by the same open file", alone, false, true)
	expect("shared, while one has it alone", reader, true, false)
	expect("alone, while one has it alone", other, false, false)
	copied := must.Get(Dup(must.Get(alone.SyscallConn())(t)))(t) // as a child has it that was just forked
	defer Close(copied)
	must.Do(t, Unlock(alone))
	must.Do(t, alone.Close())
	expect("shared, after the end of that", reader, true, true)
	expect("shared, while one shares it", other, true, true)
	expect("alone, while two share it", other, false, false)
	must.Do(t, other.Close())
	if got, err := TryLock(other, false); got || err == nil {
		t.Errorf("a closed file: %v, %v", got, err)
	}
}
