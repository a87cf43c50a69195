package core

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/timing"
)

// wakeMain sends this process the signal by which the service has stopped, if that has come another way: over the
// link to the supervisor, to another process, or as the end of the terminal. Main may wait for it, also behind Run. It
// kills none.
func (l *lifecycle) wakeMain() {
	sig := l.stopping.unheard
	if l.embedded != nil && l.u.next != nil && sig == nil { // the service has ended elsewhere
		sig = syscall.SIGTERM
	}
	if sig == nil || l.stopping.heard {
		return
	}
	signal.Notify(make(chan os.Signal, 1), sig)
	sendSelf(sig)
}

func sendSelf(sig os.Signal) {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Signal(sig)
	}
}

// endMain ends this process if its main does not return after a stop by the operator, who wants it gone, with the
// service that it has supervised, or with its supervisor. SIGTERM is for a main that waits for it, and kills none that
// still has something to close: it ends by SIGKILL.
func (u *Upgrader) endMain() {
	<-u.phase.done
	for _, word := range []struct {
		after time.Duration
		sig   syscall.Signal
	}{{timing.Kill, syscall.SIGTERM}, {timing.Main - timing.Kill, syscall.SIGKILL}} {
		time.Sleep(word.after)
		if running.Load() != u {
			return // the program serves again
		}
		u.log.Warn("main has not returned after the stop; signal sent", "signal", word.sig.String())
		signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM)
		sendSelf(word.sig)
	}
}
