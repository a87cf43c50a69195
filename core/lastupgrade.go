package core

import (
	"os"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/text"
)

// concluded keeps what has become of an upgrade that this process has begun. newPID is 0 if no process was
// started.
func (u *Upgrader) concluded(r upgradeReply, newPID int, h *outgoing) {
	if h.change.check {
		return // it was no upgrade
	}
	o := u.outcome(r, newPID)
	o.Took, o.Release = time.Since(h.began), h.change.release
	u.last.Store(&control.LastUpgrade{At: time.Now(), Outcome: o})
}

// arrived keeps that the upgrade which has started this process is done. The old process may end before it could
// say how long that took.
func (u *Upgrader) arrived(p *peer.Old) {
	u.last.Store(&control.LastUpgrade{At: time.Now(), Outcome: control.Outcome{
		OK: true, Kind: control.KindUpgraded,
		OldPID: p.PID(), OldGeneration: u.generation - 1, OldVersion: text.Cut(p.Version, text.MaxVersion),
		NewPID: os.Getpid(), Generation: u.generation, Version: u.cfg.version,
		Took: time.Since(startedAt),
	}})
}
