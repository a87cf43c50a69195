//go:build !race

package core_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/rawhttp"
)

// The race detector gives none of its own memory back.

// TestDrain_GivesMemoryBack: a process whose last request takes long does not keep what its connections took.
func TestDrain_GivesMemoryBack(t *testing.T) {
	t.Parallel()
	a, first := serving(t)
	for range 2000 {
		answered(t, first.Addrs[0], "/")
	}
	slow := rawhttp.Dial(t, first.Addrs[0])
	slow.Ask("/?hold=go")
	a.expect("handling", 0)
	before := anonymous(t, first.PID)
	a.next(first)
	a.Await("the old process has given memory back", func() bool { return anonymous(t, first.PID) < before/2 })
	a.write("go", "")
	slow.Answer()
	a.endsWell(0)
}

// anonymous is the memory of a process that is its own, in bytes.
func anonymous(t *testing.T, pid int) uint64 {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	must(t, err)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, err := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
			must(t, err)
			return n << 10
		}
	}
	t.Fatal("no RssAnon")
	return 0
}
