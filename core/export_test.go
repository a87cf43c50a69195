package core

// What the tests of the exported API reach for beyond it: they make this process misbehave, or
// bring about what otherwise takes a second process.

// AskToLeave begins or ends the stretch of a drain in which clients are asked to leave.
func (u *Upgrader) AskToLeave(on bool) {
	u.phase.asksToLeave.Store(on)
	if on {
		u.tellHTTP2()
	}
}

// Break ends the process with an error, as a failing listener does.
func (u *Upgrader) Break(err error) { u.requestStop(stopRequest{err: err, now: true}) }
