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
	stepLast      step = "last-pong" // the new process gives the answer that its probation ends upon
	stepConfirm   step = "confirm"   // the old process says that the probation is passed
	stepConfirmed step = "confirmed" // the new process says that it goes on by itself
	stepDrain     step = "drain"     // the old process has heard that, and has work left
)

var steps = []step{
	stepBegin, stepStart, stepHello, stepReady, stepCommit,
	stepProbation, stepOffer, stepTaken, stepLast, stepConfirm, stepConfirmed, stepDrain,
}

// stepOf names the step that a frame is; empty for none. due says whether the time of a
// probation is over.
func stepOf(f wire.Type, due bool) step {
	if f == wire.Pong && due {
		return stepLast
	}
	return frameSteps[f]
}

var frameSteps = map[wire.Type]step{
	wire.Hello:     stepHello,
	wire.Ready:     stepReady,
	wire.Commit:    stepCommit,
	wire.Pong:      stepProbation,
	wire.Offer:     stepOffer,
	wire.Taken:     stepTaken,
	wire.Confirm:   stepConfirm,
	wire.Confirmed: stepConfirmed,
}

// onProbation reports whether there is no such step without a probation.
func (s step) onProbation() bool {
	return s == stepProbation || s == stepLast || s == stepConfirm
}
