package handover

// New is the new process's side of a handover, from when it has said ready. The zero New is
// that of a process that has not.
type New struct {
	Phase NewPhase
	// Rejected: it has asked the old process to serve again, and waits for its word.
	Rejected bool
	// Gone: the old process has ended.
	Gone bool
}

// NewPhase is where the new process stands.
type NewPhase uint8

const (
	// NewWaiting: it accepts nothing, until the old process hands over. Next: NewProbation,
	// NewAlone, NewFree, NewRolledBack.
	NewWaiting NewPhase = iota
	// NewProbation: it accepts, and the old process can take the service back. Next:
	// NewAlone, NewFree, NewSettled, NewRolledBack.
	NewProbation
	// NewAlone: it accepts, because the old process has said nothing for long. It is not known where that one
	// stands, so no next process is started. Next: NewFree, NewSettled, NewRolledBack.
	NewAlone
	// NewFree: the old process has said that it hands over for good, or has ended. Next:
	// NewSettled, NewRolledBack.
	NewFree
	// NewSettled: it has said that the old process is not to serve again, whatever comes.
	NewSettled
	// NewRolledBack: the old process serves, or nobody does. This one finishes what it has.
	NewRolledBack
)

var newNames = [...]string{"waiting", "probation", "alone", "free", "settled", "rolled back"}

// String returns the phase in words.
func (p NewPhase) String() string { return newNames[p] }

// NewEvent is what happens to the new process.
type NewEvent uint8

const (
	// Commit: the old process hands over, on probation.
	Commit NewEvent = iota
	// CommitForGood: it hands over without a probation.
	CommitForGood
	// NoCommit: it has not answered ready for long.
	NoCommit
	// Confirm: it says that the probation is passed.
	Confirm
	// Abort: it serves again, and is there.
	Abort
	// AbortDead: it has said so, and is known to have ended since.
	AbortDead
	// AbortStop: the service stops, or is another process's. It holds even if the old process
	// has ended since.
	AbortStop
	// OldEnded: the old process has ended, and all that it had said was heard.
	OldEnded
	// OwnTime: the old process has not ended the probation for long.
	OwnTime
	// Reject: this process finds itself bad.
	Reject
	// Asked: this process is asked to stop, and with it the service.
	Asked
	// Broken: this process can't go on.
	Broken
	// Upgrade: this process is asked to hand over to a next one.
	Upgrade
)

// NewEffect is what the new process is to do.
type NewEffect uint8

const (
	// Accept connections: this process is current.
	Accept NewEffect = iota
	// NamePIDNew has the pid file name this process.
	NamePIDNew
	// SayConfirmed says that this process serves, and goes on by itself.
	SayConfirmed
	// SayReject asks the old process to serve again.
	SayReject
	// SaySettled says that the old process is not to serve again.
	SaySettled
	// SayAgain asks the old process for one more upgrade.
	SayAgain
	// Remember the upgrade, for when the old process is out of the way.
	Remember
	// Inspect the pid file: if this process accepts, it is to name this one.
	Inspect
	// PassProbation: what was kept for the old process's return is not needed any more, and
	// an upgrade that was remembered follows.
	PassProbation
	// RollBack: finish what was accepted, because the old process serves.
	RollBack
	// StopNew begins the stop of this process.
	StopNew
	// StartNext starts the next process.
	StartNext
)

// Accepts reports whether this process has the service.
func (n New) Accepts() bool { return n.Phase != NewWaiting && n.Phase != NewRolledBack }

// Clear reports whether nothing is to be expected of the old process any more that could change who serves.
func (n New) Clear() bool { return n.Gone || n.Phase == NewSettled }

// Step takes an event, and returns where the new process stands then, and what it does.
// An event that means nothing in a phase changes nothing.
func (n New) Step(e NewEvent) (New, []NewEffect) {
	switch e {
	case Commit, CommitForGood, NoCommit:
		switch {
		case n.Phase == NewWaiting:
			return n.takeOver(e)
		case n.Phase == NewAlone && e == CommitForGood: // it had stood still
			n.Phase = NewFree
			return n, []NewEffect{PassProbation}
		}
	case OldEnded:
		return n.oldEnded()
	case Confirm:
		switch {
		case n.Phase == NewProbation && !n.Rejected:
			n.Phase = NewFree
			return n, []NewEffect{SayConfirmed, PassProbation}
		case n.Phase == NewAlone:
			n.Phase = NewFree
			return n, []NewEffect{PassProbation}
		}
	case OwnTime:
		if n.Phase == NewProbation && !n.Rejected {
			n.Phase = NewAlone
			return n, []NewEffect{SayConfirmed}
		}
	case Abort, AbortStop:
		switch {
		case n.Phase == NewWaiting, n.Accepts() && n.Phase != NewSettled:
			n.Phase = NewRolledBack
			return n, []NewEffect{RollBack}
		}
	case AbortDead: // it does not serve; its end follows
	case Reject:
		if n.Phase == NewProbation {
			n.Rejected = true
			return n, []NewEffect{SayReject}
		}
	case Asked, Broken:
		return n.stop(e)
	case Upgrade:
		return n.upgrade()
	}
	return n, nil
}

// takeOver begins to accept.
func (n New) takeOver(e NewEvent) (New, []NewEffect) {
	switch {
	case n.Gone || e == CommitForGood:
		n.Phase = NewFree
	case e == NoCommit:
		n.Phase = NewAlone
	default:
		n.Phase = NewProbation
		return n, []NewEffect{Accept, NamePIDNew}
	}
	effects := []NewEffect{Accept, NamePIDNew}
	if !n.Gone {
		effects = append(effects, SayConfirmed)
	}
	if n.Phase == NewFree {
		effects = append(effects, PassProbation)
	}
	return n, effects
}

func (n New) oldEnded() (New, []NewEffect) {
	if n.Gone {
		return n, nil
	}
	n.Gone = true
	switch n.Phase {
	case NewProbation, NewAlone:
		n.Phase, n.Rejected = NewFree, false
		return n, []NewEffect{Inspect, PassProbation}
	case NewFree, NewSettled:
		return n, []NewEffect{Inspect}
	case NewWaiting, NewRolledBack:
	}
	return n, nil
}

// stop ends this process. A stop that was asked for is the service's, and is said first: this process may be
// killed at any time from here on. One that is broken has the old process serve, if that can.
func (n New) stop(e NewEvent) (New, []NewEffect) {
	switch {
	case n.Phase == NewWaiting:
		n.Phase = NewRolledBack // a commit that is on its way comes too late
		return n, []NewEffect{StopNew}
	case n.Phase == NewRolledBack || n.Clear():
		return n, []NewEffect{StopNew}
	case e == Asked:
		n.Phase = NewSettled
		return n, []NewEffect{SaySettled, StopNew}
	case n.Phase == NewProbation:
		if n.Rejected {
			return n, nil
		}
		n.Rejected = true
		return n, []NewEffect{SayReject} // what the old process says decides
	}
	return n, []NewEffect{SayReject, StopNew} // it may still be there, and drain
}

// upgrade starts the next process, from where no word of the old one can cross it.
func (n New) upgrade() (New, []NewEffect) {
	switch {
	case n.Phase == NewProbation || n.Phase == NewAlone:
		return n, []NewEffect{SayAgain, Remember}
	case n.Phase == NewFree && !n.Gone:
		n.Phase = NewSettled
		return n, []NewEffect{SaySettled, StartNext}
	case n.Phase == NewFree || n.Phase == NewSettled:
		return n, []NewEffect{StartNext}
	}
	return n, nil
}
