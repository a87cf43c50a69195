//go:build unix

package supervise

import (
	"syscall"
	"testing"
)

// TestCrashBesideAFailedUpgrade: the new process of an upgrade that failed and the worker that serves end together. The
// exit status of the second one comes last, and yet it is the one whose listeners the next worker gets.
func TestCrashBesideAFailedUpgrade(t *testing.T) {
	t.Parallel()
	serves := &worker{pid: 7, state: stateCurrent, gone: true, kept: &bundle{}}
	failed := &worker{gone: true, overdue: true}
	m := &master{
		cfg: Config{Argv: []string{"./no-such-program"}}.withDefaults(), served: true, quit: make(chan struct{}),
		workers: []*worker{serves, failed},
	}
	defer close(m.quit)
	kept := serves.kept
	m.look()
	if m.failures != 0 || m.restart != nil || len(m.workers) != 1 {
		t.Errorf("%d crashes, %d workers: the end of a process that never served is taken for one of the service", m.failures, len(m.workers))
	}
	serves.status = &exitStatus{syscall.WaitStatus(syscall.SIGKILL)}
	m.look()
	if m.failures == 0 || m.kept != kept || len(m.workers) != 0 {
		t.Errorf("%d crashes, %d workers, the listeners are kept: %v", m.failures, len(m.workers), m.kept == kept)
	}
}
