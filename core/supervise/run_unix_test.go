//go:build unix

package supervise

import (
	"slices"
	"syscall"
	"testing"
)

// TestCrashBesideAFailedUpgrade: the new process of an upgrade that failed and the worker that serves end together.
// Whichever end is known first, the next worker gets the listeners of the one that served.
func TestCrashBesideAFailedUpgrade(t *testing.T) {
	t.Parallel()
	for name, failedFirst := range map[string]bool{"the failed one first": true, "the failed one last": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			serves, failed := &worker{pid: 7, state: stateCurrent, kept: &bundle{}}, &worker{}
			m := &master{
				cfg: Config{Argv: []string{"./no-such-program"}}.withDefaults(), served: true, quit: make(chan struct{}),
				workers: []*worker{serves, failed},
			}
			defer close(m.quit)
			kept := serves.kept
			ends := []func(){
				func() { failed.gone, failed.overdue = true, true },
				func() { serves.gone, serves.status = true, &exitStatus{syscall.WaitStatus(syscall.SIGKILL)} },
			}
			if failedFirst {
				serves.gone = true // and its status has not come
			} else {
				slices.Reverse(ends)
			}
			ends[0]()
			m.look()
			if m.failures != 0 || m.restart != nil || len(m.workers) != 1 {
				t.Errorf("%d crashes, %d workers after the first end", m.failures, len(m.workers))
			}
			ends[1]()
			m.look()
			if m.failures == 0 || m.kept != kept || len(m.workers) != 0 {
				t.Errorf("%d crashes, %d workers, the listeners are kept: %v", m.failures, len(m.workers), m.kept == kept)
			}
		})
	}
}
