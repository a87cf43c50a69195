package core

import (
	"os"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/program"
)

// kin are the processes that a wrapper script has started and that have not introduced
// themselves: when it is given up, they are too. Without that a program would serve on
// which nobody knows of.
type kin []*os.Process

// sibling is a kind of process that this one's parent has started, too.
type sibling int

const (
	anySibling sibling = iota
	youngerSibling
)

// kinOf looks for them while the script is there.
func kinOf(n *successor) kin {
	if n.own != nil || program.Interpreter(n.path) == "" {
		return nil
	}
	return descendants(n.pid())
}

func (k kin) signal(sig syscall.Signal) {
	for _, p := range k {
		_ = p.Signal(sig)
	}
}

// end kills those that are still there after a while.
func (k kin) end(after time.Duration) {
	for end := time.Now().Add(after); k.lives() && time.Now().Before(end); {
		time.Sleep(parentPoll)
	}
	k.signal(syscall.SIGKILL)
	for _, p := range k {
		_ = p.Release()
	}
}

func (k kin) lives() bool {
	for _, p := range k {
		if p.Signal(syscall.Signal(0)) == nil && !isZombie(p.Pid) {
			return true
		}
	}
	return false
}
