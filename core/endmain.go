package core

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/timing"
)

// endMain ends this process if its main does not return after a stop by the operator, who wants it gone. SIGTERM is
// for a main that waits for it, and kills none that still has something to close: it ends by SIGKILL.
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
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			_ = self.Signal(word.sig)
		}
	}
}
