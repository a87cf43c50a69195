package main

import "github.com/gracex-go/gracex/core/internal/wire"

// step is a moment of an upgrade at which a fault can come. The frame that a step is
// named after has been sent and was not received.
type step string

// The steps, in their order.
const (
	stepBegin     step = "begin"     // the upgrade is about to be asked for
	stepStart     step = "start"     // the new process is there, its program not yet
	stepHello     step = "hello"     // the new program says that it speaks the protocol
	stepReady     step = "ready"     // the new program says that it can serve
	stepCommit    step = "commit"    // the old process has handed over
	stepProbation step = "probation" // the new process accepts, and answers the first ping
	stepOffer     step = "offer"     // the old process sends connections
	stepTaken     step = "taken"     // the new process says which it has taken
	stepConfirm   step = "confirm"   // the probation has ended
	stepDrain     step = "drain"     // there is no way back, and the old process has work left
)

var steps = []step{
	stepBegin, stepStart, stepHello, stepReady, stepCommit,
	stepProbation, stepOffer, stepTaken, stepConfirm, stepDrain,
}

// stepOf names the step that a report is of; empty for none. onTrial says whether the
// new process is on probation.
func stepOf(r report, onTrial bool) step {
	switch r.At {
	case atStart:
		return stepStart
	case atRead:
		return frameSteps[r.Frame]
	case atPassed:
		if r.Frame == wire.Confirm || r.Frame == wire.Commit && !onTrial {
			return stepDrain
		}
	}
	return ""
}

var frameSteps = map[wire.Type]step{
	wire.Hello:   stepHello,
	wire.Ready:   stepReady,
	wire.Commit:  stepCommit,
	wire.Pong:    stepProbation,
	wire.Offer:   stepOffer,
	wire.Taken:   stepTaken,
	wire.Confirm: stepConfirm,
}
