package core

import (
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// TestOlder_CountsThoseThatDrain and not the processes whose main goes on. An old process that has drained corrects
// nothing any more of what it has said of others.
func TestOlder_CountsThoseThatDrain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	defer manager.Close()
	must(t, manager.SetDeadline(time.Now().Add(patience)))
	awaits := func(end string) {
		t.Helper()
		b := make([]byte, 4096)
		for n := 0; !strings.HasSuffix(string(b[:n]), end); {
			n, err = manager.Read(b)
			must(t, err)
		}
	}
	log := new(procgroup.Output)
	u, o := playOld(t, WithMaxDraining(2), WithLogger(slog.New(slog.NewTextHandler(log, nil))), notifying(t, path))
	u.AttachTest(t, notFound())
	o.handsOver(u, wire.CommitMsg{DrainMillis: 1000})
	o.hears(wire.Confirmed)
	o.says(wire.Older, wire.OlderMsg{Older: 2, Generations: []int{0, -1}})
	awaits("serving; 2 older draining")
	o.says(wire.Drained, nil)
	awaits("STATUS=generation 1, serving")
	o.saysAtOnce(word{wire.Older, wire.OlderMsg{Older: 3, Generations: []int{0, -1, -2}}}, word{wire.Ping, nil}) // late
	o.hears(wire.Pong)
	must(t, u.request(func(*lifecycle) error { return nil })) // which has heard of both
	if got := u.olderGenerations(); len(got) > 0 || strings.Contains(log.String(), "too many generations drain") {
		t.Errorf("it counts %v:\n%s", got, log)
	}
}

// notifying has the service manager listen at path. The environment is this process's, which has one Upgrader at a time.
func notifying(t *testing.T, path string) Option {
	return func(*config) {
		env := boot.launch.Env
		t.Cleanup(func() { boot.launch.Env = env })
		boot.launch.Env = append(slices.Clone(env), "NOTIFY_SOCKET="+path)
	}
}
