//go:build unix

package supervise

import (
	"slices"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// TestTakeLaunch: the parts make a whole, and what is not one changes nothing.
func TestTakeLaunch(t *testing.T) {
	t.Parallel()
	first := spawn.Launch{Dir: "/", Argv: []string{"./app"}}
	m, w := &supervisor{cfg: Config{}.withDefaults(), launch: first}, &worker{}
	say := func(told []byte) {
		for part := range slices.Chunk(told, 7) {
			m.takeLaunch(w, wire.LaunchMsg{Part: part, More: true}, true)
		}
		m.takeLaunch(w, wire.LaunchMsg{}, true)
	}
	for name, bad := range map[string][]byte{
		"garbage": []byte("{"), "no program": spawn.Launch{Dir: "/"}.Tell(), "nothing": nil,
	} {
		if say(bad); m.launch.Argv[0] != "./app" || len(w.launch) > 0 {
			t.Errorf("%s: %+v", name, m.launch)
		}
	}
	m.takeLaunch(w, wire.LaunchMsg{Part: []byte(strings.Repeat("x", maxLaunch+1)), More: true}, true)
	if len(w.launch) > 0 {
		t.Error("too much is kept")
	}
	next := spawn.Launch{Dir: "/srv", Argv: []string{"app", "-v"}, Env: []string{"A=\xff"}}
	if say(next.Tell()); m.launch.Dir != "/srv" || !slices.Equal(m.launch.Argv, next.Argv) || !slices.Equal(m.launch.Env, next.Env) {
		t.Errorf("%+v", m.launch)
	}
}
