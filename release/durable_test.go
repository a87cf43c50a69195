//go:build linux

package release

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// TestDurable: what is referred to was synced before, with its mode, and both directories of a rename are synced.
func TestDurable(t *testing.T) {
	if !proctest.Apart(t) {
		return // step is one for all tests
	}
	a := &fakeApp{}
	s, _ := runningIn(t, a)
	var steps []string
	step = func(name string) {
		if strings.HasSuffix(name, "/shop") {
			if fi := must.Get(os.Stat(s.at(strings.TrimPrefix(name, "sync "))))(t); fi.Mode().Perm() != 0o555 {
				t.Errorf("it is synced with mode %v", fi.Mode())
			}
		}
		if name == "trial" || name == "good" {
			if st := state(t, s); st.Trial == nil || st.Trial.Passed != (name == "good") || st.Trial.Passed != slices.Contains(st.Good, st.Trial.Release.ID) {
				t.Errorf("at %s the state is %+v", name, st)
			}
		}
		steps = append(steps, name)
	}
	program := shop(t, "good", 2)
	r := staged(t, s, of(t, program, "1.1.0", 2))
	must.Get(try(t, s, a, r))(t)
	dir := filepath.Join("sync incoming", "new-"+sum(program)[:16])
	want := []string{
		"manifest", "half", "downloaded", "checked", dir + "/release.json", dir + "/release.json.minisig", dir + "/shop", dir + "/staged.json", dir, "synced",
		"sync releases", "sync incoming", "sync .", "staged", // the state knows the version
		"sync .", "trial", "asked", "started", "ready", "probation", "confirmed", "sync .", "good", "sync .", "current", "sync .", "recorded",
	}
	if !slices.Equal(steps, want) {
		t.Errorf("the steps are %q, and not %q", steps, want)
	}
}
