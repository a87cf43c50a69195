package main

import "slices"

// cell is one upgrade to try: a fault at a step.
type cell struct {
	step  step
	fault fault
	// final is what has to come of it where a commit is the last word, trial where
	// the new process is on probation then. Without any there is no such cell.
	final, trial verdicts
	why          string // where it does not speak for itself
	short        bool   // it is of the short form
}

func (c cell) String() string { return string(c.step) + "/" + string(c.fault) }

// want is what has to come of it.
func (c cell) want(probation bool) verdicts {
	if probation {
		return c.trial
	}
	return c.final
}

var (
	old      = verdicts{oldServes}
	fresh    = verdicts{newServes}
	back     = verdicts{rolledBack}
	either   = verdicts{oldServes, newServes}
	unsure   = verdicts{newServes, rolledBack}
	whatever = verdicts{oldServes, newServes, rolledBack}
	noCell   verdicts
)

// Why an outcome is right.
const (
	whyTakeover  = "the new process becomes current when it is ready"
	whyReadyTime = "by the ready timeout, whose end either comes while it stands still or does not"
	whyFound     = "the old process finds ready when it goes on, and hands over, even after its own timeout"
	whyGaveUp    = "the new process waits 10 s for commit and then takes over; the old one finds ready when it goes on, and drains"
	whyHungUp    = "to the old process the new one has ended, and to the new one the old one; the old one ends what it has started"
	whyTrial     = "a new process on probation that does not answer has failed"
	whyDrains    = "the old process drains; what the other says, or does not say, ends nothing but its way back"
	whyDeaf      = "the new process lives, and may have read that it has passed: the old one drains"
	whyBack      = "nothing is given up before it is acknowledged, and while the old process drains it can serve again"
	whyAsked     = "the new process was told that it has passed, and does not acknowledge it: it is killed"
	whyWoke      = "none of them has hung; who looks at the clock first may think so"
	whyOwner     = "what is not answered for stays with the old process"
)

// begin is the upgrade without a fault, which has to go well before anything else is
// tried.
var begin = cell{stepBegin, faultNone, fresh, fresh, "", true}

// table lists the cells.
var table = []cell{
	begin,
	{stepBegin, faultFilesOld, old, old, "nothing can be started", false},
	{stepBegin, faultDisk, old, old, "the new process prepares its pid file before it says ready", true},
	{stepBegin, faultDeleted, old, old, "", false},
	{stepBegin, faultNoProgram, old, old, "", false},
	{stepBegin, faultScript, old, old, "", false},

	{stepStart, faultKillOld, fresh, fresh, whyTakeover, false},
	{stepStart, faultKillNew, old, old, "", false},
	{stepStart, faultStopOld, fresh, fresh, whyFound, false},
	{stepStart, faultLongStopOld, fresh, fresh, whyGaveUp, false},
	{stepStart, faultStopNew, either, either, whyReadyTime, false},
	{stepStart, faultSuspend, either, either, whyReadyTime, false},
	{stepStart, faultFilesNew, old, old, "the program can't even start", false},
	{stepStart, faultSlow, fresh, fresh, "", false},

	{stepHello, faultKillOld, fresh, fresh, whyTakeover, false},
	{stepHello, faultKillNew, old, old, "", false},
	{stepHello, faultStopOld, fresh, fresh, whyFound, false},
	{stepHello, faultStopNew, either, whatever, "it may have said ready before it stood still; else " + whyReadyTime, false},
	{stepHello, faultSuspend, either, either, whyReadyTime, false},
	{stepHello, faultCut, old, old, whyHungUp, false},
	{stepHello, faultTruncate, old, old, whyHungUp, false},
	{stepHello, faultGarbage, old, old, "", true},

	{stepReady, faultKillOld, fresh, fresh, whyTakeover, true},
	{stepReady, faultKillNew, old, old, "ready has come, and its sender is not there any more: the old process looks once more", true},
	{stepReady, faultStopOld, fresh, fresh, whyFound, false},
	{stepReady, faultLongStopOld, fresh, fresh, whyGaveUp, false},
	{stepReady, faultStopNew, back, back, whyTrial, false},
	{stepReady, faultSuspend, either, either, whyReadyTime, false},
	{stepReady, faultCut, old, old, whyHungUp, true},
	{stepReady, faultTruncate, old, old, whyHungUp, false},
	{stepReady, faultGarbage, old, old, "", false},
	{stepReady, faultFilesOld, fresh, fresh, "a handover opens nothing", false},

	{stepCommit, faultKillOld, fresh, fresh, "", true},
	{stepCommit, faultKillNew, back, back, whyBack, true},
	{stepCommit, faultStopOld, fresh, fresh, "what was said holds", false},
	{stepCommit, faultStopNew, back, back, whyTrial, false},
	{stepCommit, faultSuspend, unsure, unsure, whyWoke, false},
	{stepCommit, faultCut, fresh, back, "the new process takes the old one for dead, and the old one the new one", false},
	{stepCommit, faultTruncate, fresh, back, "the same", false},
	{stepCommit, faultGarbage, fresh, back, "the new process closes what it does not understand", false},

	{stepProbation, faultKillOld, noCell, fresh, "", false},
	{stepProbation, faultKillNew, noCell, back, whyTrial, true},
	{stepProbation, faultStopOld, noCell, unsure, whyWoke, false},
	{stepProbation, faultStopNew, noCell, back, whyTrial, true},
	{stepProbation, faultSuspend, noCell, unsure, whyWoke, false},
	{stepProbation, faultCut, noCell, back, whyTrial, false},
	{stepProbation, faultTruncate, noCell, back, whyTrial, false},
	{stepProbation, faultGarbage, noCell, back, whyTrial, false},

	{stepOffer, faultKillOld, fresh, fresh, "what was on its way is the new process's", true},
	{stepOffer, faultKillNew, back, back, whyBack, false},
	{stepOffer, faultStopOld, fresh, unsure, whyWoke, false},
	{stepOffer, faultStopNew, unsure, back, whyTrial, false},
	{stepOffer, faultSuspend, unsure, unsure, whyWoke, false},
	{stepOffer, faultCut, fresh, back, whyOwner, false},
	{stepOffer, faultTruncate, fresh, back, whyOwner, false},
	{stepOffer, faultGarbage, fresh, back, "the new process closes the control socket, and takes nothing", false},
	{stepOffer, faultFilesNew, fresh, fresh, "the kernel drops the descriptors; " + whyOwner, false},

	{stepTaken, faultKillOld, fresh, fresh, "", false},
	{stepTaken, faultKillNew, back, back, "what it had taken dies with it", false},
	{stepTaken, faultStopOld, fresh, unsure, whyWoke, false},
	{stepTaken, faultStopNew, unsure, back, whyTrial, false},
	{stepTaken, faultSuspend, unsure, unsure, whyWoke, false},
	{stepTaken, faultCut, fresh, back, "the new process has taken what the old one has no answer for", false},
	{stepTaken, faultTruncate, fresh, back, "the same", false},
	{stepTaken, faultGarbage, fresh, unsure, "the old process gives up what it has offered last", false},

	{stepLast, faultKillOld, noCell, fresh, "", false},
	{stepLast, faultKillNew, noCell, back, "the answer is in the queue, and its sender is not there any more; " + whyBack, true},
	{stepLast, faultStopOld, noCell, unsure, whyWoke, false},
	{stepLast, faultStopNew, noCell, back, whyAsked, false},
	{stepLast, faultSuspend, noCell, unsure, whyWoke, false},
	{stepLast, faultCut, noCell, back, whyTrial, false},
	{stepLast, faultTruncate, noCell, back, whyTrial, false},
	{stepLast, faultGarbage, noCell, back, whyTrial, false},

	{stepConfirm, faultKillOld, noCell, fresh, "", false},
	{stepConfirm, faultKillNew, noCell, back, whyBack, true},
	{stepConfirm, faultStopOld, noCell, unsure, whyWoke, false},
	{stepConfirm, faultStopNew, noCell, back, whyAsked, false},
	{stepConfirm, faultSuspend, noCell, unsure, whyWoke, false},
	{stepConfirm, faultCut, noCell, fresh, whyDeaf, true},
	{stepConfirm, faultTruncate, noCell, fresh, whyDeaf, false},
	{stepConfirm, faultGarbage, noCell, fresh, whyDeaf, false},

	{stepConfirmed, faultKillOld, fresh, fresh, "", false},
	{stepConfirmed, faultKillNew, back, back, whyBack, true},
	{stepConfirmed, faultStopOld, unsure, unsure, whyWoke, false},
	{stepConfirmed, faultStopNew, fresh, fresh, "what was said holds", false},
	{stepConfirmed, faultSuspend, unsure, unsure, whyWoke, false},
	{stepConfirmed, faultCut, fresh, fresh, whyDeaf, false},
	{stepConfirmed, faultTruncate, fresh, fresh, whyDeaf, false},
	{stepConfirmed, faultGarbage, fresh, fresh, whyDeaf, false},

	{stepDrain, faultKillOld, fresh, fresh, "", true},
	{stepDrain, faultKillNew, back, back, whyBack, true},
	{stepDrain, faultStopOld, fresh, fresh, "", false},
	{stepDrain, faultStopNew, fresh, fresh, whyDrains, false},
	{stepDrain, faultSuspend, fresh, fresh, "", false},
	{stepDrain, faultCut, fresh, fresh, whyDrains, false},
}

// choose lists the cells that the options name, for a program that has a probation or
// not, and moves connections or not.
func (o *options) choose(seen *session) (cells []cell) {
	reached, _, probation := seen.look()
	moves := slices.Contains(reached, stepOffer)
	for _, c := range table {
		switch {
		case c.fault == faultNone, c.want(probation) == nil:
		case !moves && (c.step == stepOffer || c.step == stepTaken):
		case o.short && !c.short:
		case o.cells != nil && !o.cells.MatchString(c.String()):
		default:
			cells = append(cells, c)
		}
	}
	return cells
}
