package handover

// Old is the old process's side of a handover, from the start of a new process until this process has ended,
// or serves again and the new one is gone. The zero Old is that of a process that hands nothing over.
type Old struct {
	Phase OldPhase
	// Due: the probation is over, so the new process's next answer passes it.
	Due bool
	// Stopping: this process was asked to stop, so if the new one ends it does not serve again.
	Stopping bool
	// NoWay: nothing of what this process serves could be served again once its drain has
	// begun, so that begins without a way back.
	NoWay bool
}

// OldPhase is where the old process stands.
type OldPhase uint8

const (
	// OldIdle: there is no new process. Next: OldStarting.
	OldIdle OldPhase = iota
	// OldStarting: the new process starts, this one serves. Next: OldProbation, OldAsked
	// without a probation, OldGivenUp, OldIdle if the new process has ended.
	OldStarting
	// OldProbation: the new process accepts, on probation; the listeners of this one are
	// paused. Next: OldAsked, OldDraining, OldReleased, OldGivenUp.
	OldProbation
	// OldAsked: the new process was told that it has passed, and has not acknowledged
	// that. The listeners are still paused. Next: OldDraining, OldReleased, OldGivenUp.
	OldAsked
	// OldDraining: the new process has acknowledged. This one drains, with its listeners paused and not
	// closed: the end of the new process is the way back. Next: OldReleased, OldGivenUp.
	OldDraining
	// OldReleased: the listeners are closed; whatever becomes of the new process, this one
	// does not serve again.
	OldReleased
	// OldGivenUp: this process serves, or stops; the new one is told to go. Next: OldIdle when it has.
	OldGivenUp
)

var oldNames = [...]string{"idle", "starting", "probation", "asked", "draining", "released", "given up"}

// String returns the phase in words.
func (p OldPhase) String() string { return oldNames[p] }

// OldEvent is what happens to the old process.
type OldEvent uint8

const (
	// Started: the new process is there.
	Started OldEvent = iota
	// Ready: the new process is ready, and goes on probation.
	Ready
	// ReadyForGood: the new process is ready, and there is no probation.
	ReadyForGood
	// Failed: the new process is not ready, and won't be waited for any longer; it may have ended.
	Failed
	// Pong: it has answered a ping.
	Pong
	// Due: the time of the probation is over.
	Due
	// Silent: it has not answered for long, and the old process has decided that while it
	// could still take the service back.
	Silent
	// SilentLate: the same, so late that the new process may go on alone.
	SilentLate
	// Rejected: the new process says that it is bad.
	Rejected
	// Settled: the new process says that this one is not to serve again, whatever becomes
	// of it. It is none if this process has sent it SIGTERM: then that is what it obeys.
	Settled
	// Confirmed: the new process says that it serves and goes on by itself.
	Confirmed
	// ConfirmedDead: it has said so, and is known to have ended since. What it said after
	// that decides, or its end.
	ConfirmedDead
	// Ended: the new process has ended, and all that it had said was heard.
	Ended
	// Deaf: the new process lives and can't be heard any more.
	Deaf
	// Canceled: the caller of the upgrade does not want it any more.
	Canceled
	// CanceledLate: the same, so late that the new process may go on alone.
	CanceledLate
	// Drained: this process's own drain is over, and the new one has answered after that.
	Drained
	// Another new process is about to be started, and this one, given up, is not gone.
	Another
	// Stop: this process is asked to stop.
	Stop
	// Gone: a new process that was given up has ended.
	Gone
)

// OldEffect is what the old process is to do.
type OldEffect uint8

const (
	// Pause the listeners: the new process is about to accept.
	Pause OldEffect = iota
	// SayCommit, with a probation.
	SayCommit
	// SayCommitForGood is a commit without a probation; it stands for the confirm, too.
	SayCommitForGood
	// SayPing asks for one more answer.
	SayPing
	// SayConfirm says that the probation is passed.
	SayConfirm
	// Drain begins, with a way back: the listeners stay paused.
	Drain
	// Close the listeners, and drain if that has not begun: there is no way back.
	Close
	// Resume accepts again, as before the handover.
	Resume
	// NamePID has the pid file name this process.
	NamePID
	// SayAbort tells the new process to go, because this one serves.
	SayAbort
	// SayAbortStop tells the new process to go, because the service stops, or is another's:
	// it is not to serve even if this process ends.
	SayAbortStop
	// Kill the new process, by SIGKILL.
	Kill
	// ReportUpgraded tells the caller.
	ReportUpgraded
	// ReportRolledBack tells the caller that the service was taken back.
	ReportRolledBack
	// ReportTakenBack tells the log that the service was taken back after the upgrade was reported as done.
	ReportTakenBack
	// StopService begins the stop of this process, with nobody to follow.
	StopService
)

// Step takes an event, and returns where the old process stands then, and what it does.
// An event that means nothing in a phase changes nothing.
func (o Old) Step(e OldEvent) (Old, []OldEffect) {
	switch o.Phase {
	case OldIdle:
		if e == Started {
			return Old{Phase: OldStarting}, nil
		}
	case OldStarting:
		return o.whileStarting(e)
	case OldProbation, OldAsked:
		return o.whilePaused(e)
	case OldDraining:
		return o.whileDraining(e)
	case OldGivenUp:
		return o.whileGivenUp(e)
	case OldReleased:
	}
	return o, nil
}

func (o Old) whileStarting(e OldEvent) (Old, []OldEffect) {
	switch e {
	case Ready:
		return Old{Phase: OldProbation}, []OldEffect{Pause, SayCommit}
	case ReadyForGood:
		return Old{Phase: OldAsked, Due: true}, []OldEffect{Pause, SayCommitForGood}
	case Failed:
		o.Phase = OldGivenUp
		return o, []OldEffect{SayAbort}
	case Stop, Settled:
		// Said before anything else is done: if this process is killed now, the new one
		// must not take over a service that was stopped. Settled is the last word of one
		// that had the service while this process stood still, and was asked to stop.
		o.Phase, o.Stopping = OldGivenUp, true
		return o, []OldEffect{SayAbortStop, StopService}
	}
	return o, nil
}

// whilePaused is a step of the probation, or of the wait for the acknowledgement.
func (o Old) whilePaused(e OldEvent) (Old, []OldEffect) {
	probation := o.Phase == OldProbation
	switch e {
	case Due:
		if probation {
			o.Due = true
			return o, []OldEffect{SayPing}
		}
	case Pong:
		if probation && o.Due {
			o.Phase = OldAsked
			return o, []OldEffect{SayConfirm}
		}
	case Stop:
		// The service is the new process's, which is told so: unless it can't have it.
		o.Stopping = true
		if probation {
			o.Phase, o.Due = OldAsked, true
			return o, []OldEffect{SayConfirm}
		}
	case Confirmed:
		return o.confirmed()
	case Settled:
		o.Phase = OldReleased
		return o, []OldEffect{Close, ReportUpgraded}
	case Silent, Canceled:
		switch {
		case probation:
			return o.takeBack(ReportRolledBack)
		case e == Silent:
			// It was told that it has passed, and may act on that when it goes on. Only its
			// end says that it does not serve.
			return o, []OldEffect{Kill}
		}
	case SilentLate:
		return o, []OldEffect{Kill}
	case Deaf:
		if !probation {
			// It was told that it has passed: it may serve, have said so, and have started
			// a next process, for all that can be heard.
			o.Phase = OldReleased
			return o, []OldEffect{Close, ReportUpgraded}
		}
		return o.takeBack(ReportRolledBack)
	case Rejected, Ended:
		// A process that has rejected itself does not confirm, and does not go on alone.
		return o.takeBack(ReportRolledBack)
	}
	return o, nil
}

// confirmed: the new process serves. It may say so unasked, when this process stood still.
func (o Old) confirmed() (Old, []OldEffect) {
	var effects []OldEffect
	if o.Phase == OldProbation {
		effects = append(effects, SayConfirm)
	}
	if o.Stopping || o.NoWay {
		o.Phase = OldReleased
		return o, append(effects, Close, ReportUpgraded)
	}
	o.Phase = OldDraining
	return o, append(effects, Drain, ReportUpgraded)
}

func (o Old) whileDraining(e OldEvent) (Old, []OldEffect) {
	switch e {
	case Settled, Deaf, Drained, Stop:
		o.Phase = OldReleased
		return o, []OldEffect{Close}
	case Ended, Rejected:
		return o.takeBack(ReportTakenBack)
	}
	return o, nil
}

// takeBack has this process serve again, unless it was asked to stop.
func (o Old) takeBack(report OldEffect) (Old, []OldEffect) {
	o.Phase = OldGivenUp
	if o.Stopping {
		return o, []OldEffect{SayAbortStop, Resume, StopService, report} // what is queued is served
	}
	return o, []OldEffect{Resume, NamePID, SayAbort, report}
}

func (o Old) whileGivenUp(e OldEvent) (Old, []OldEffect) {
	switch e {
	case Gone:
		return Old{}, nil
	case Ready, ReadyForGood, Failed: // the attempt's result, after the stop that gave it up
		if o.Stopping {
			return o, []OldEffect{SayAbortStop}
		}
	case Settled:
		if !o.Stopping {
			// It had the service while this process stood still, and was asked to stop.
			o.Stopping = true
			return o, []OldEffect{StopService}
		}
	case Stop:
		if !o.Stopping {
			o.Stopping = true
			return o, []OldEffect{SayAbortStop, StopService}
		}
	case Another:
		// From now on the service can be the other one's: this one is to go even if the old
		// process is not there any more when it decides.
		return o, []OldEffect{SayAbortStop}
	}
	return o, nil
}
