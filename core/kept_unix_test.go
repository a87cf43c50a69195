//go:build unix

package core_test

import (
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
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
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		others := 0
		k.mu.Lock()
		for _, by := range k.by {
			if by != itoa(pid) {
				others++
			}
		}
		k.mu.Unlock()
		if others == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %d does not answer %d of %d clients: %v", pid, others, len(k.by), k.Stop())
		}
	}
}
