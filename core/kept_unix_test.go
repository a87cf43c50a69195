//go:build unix

package core_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
)

// kept is load, and who has answered each client last that keeps its connection.
type kept struct {
	*load.Run
	mu sync.Mutex
	by []string // the process, by client; empty before its first answer
}

// startKept starts the load, and returns when the process has answered each client that keeps its connection: who
// connects later is the next one's from the beginning.
func startKept(t testing.TB, pid int, cfg load.Config) *kept {
	t.Helper()
	k := &kept{by: make([]string, cfg.Clients)}
	cfg.Observe = func(s load.Sample) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if s.Client < len(k.by) && s.Err == nil {
			k.by[s.Client] = s.Server.PID
		}
	}
	k.Run = load.Start(cfg)
	k.await(t, pid)
	return k
}

// await waits until the process was the last to answer each of them.
func (k *kept) await(t testing.TB, pid int) {
	t.Helper()
	proctest.Await(t, "all kept connections are answered by process "+itoa(pid), func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return !slices.ContainsFunc(k.by, func(by string) bool { return by != itoa(pid) })
	})
}
