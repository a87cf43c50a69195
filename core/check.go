package core

import (
	"context"
	"errors"
	"fmt"

	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/spawn"
)

// errChecked is why a new process is given up that was only to be checked.
var errChecked = errors.New("it is ready, and was only to be checked")

// checked is the result for a new process that is ready. One that speaks only the plain protocol serves by then.
func checked(next *peer.Next) error {
	if next.Plain {
		return because(ErrUnsupported, errors.New("the new process does not use gracex, and serves as soon as it is ready: it can't be checked"))
	}
	return errChecked
}

// Check starts a new process as an upgrade does, and ends it when it is ready: its configuration is good, it has found
// its sockets, and its ready checks have passed. This process serves meanwhile, and nothing is handed over. The OnPreFork
// and OnPostFork hooks run, and what the program does before it is ready is done. Result is about the process that was
// ended.
//
// The release is that of UpgradeTo. Empty means what the next start gets. The errors are those of Upgrade and UpgradeTo,
// and ErrUnsupported for a program that does not use gracex.
func (u *Upgrader) Check(ctx context.Context, release string) (Result, error) {
	if release != "" {
		if err := noRelease(spawn.CheckName(release)); err != nil {
			return Result{}, err
		}
	}
	return u.requestUpgrade(ctx, false, launchChange{release: release, check: true})
}

// checkPassed goes back to serving when a new process has ended that was good.
func (l *lifecycle) checkPassed(h *outgoing) {
	l.u.passing.restore()
	l.servesOn(h.next, fmt.Sprintf("a new version was checked: %s is good", h.next.Path))
	l.log.Info("checked: the new process was ready, and has ended; this process serves on", "new_pid", h.next.PID(), "path", h.next.Path)
	l.upgradeAgain()
	if h.asker != nil {
		h.asker <- upgradeReply{result: h.result} // last: who asked finds the new state
	}
}
