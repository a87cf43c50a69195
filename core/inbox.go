package core

// inboxRoom is how many events may wait for the lifecycle: more than two processes have to
// say to each other while it is busy with one, so that nobody waits who has to answer.
const inboxRoom = 64

// post makes the lifecycle's goroutine run f. What one goroutine posts is run in its order. After
// the end of the lifecycle it does nothing.
func (u *Upgrader) post(f func(l *lifecycle)) {
	select {
	case u.inbox <- f:
	case <-u.phase.done:
	}
}

// request is post for one that waits for the answer: ErrStopped after the end of the lifecycle.
func (u *Upgrader) request(f func(l *lifecycle) error) error {
	reply := make(chan error, 1)
	u.post(func(l *lifecycle) { reply <- f(l) })
	err, ok := awaitReply(u, reply)
	if !ok {
		return ErrStopped
	}
	return err
}

// awaitReply waits for the reply to what was posted. It reports false if the lifecycle has ended
// without one. The channel has room for the reply.
func awaitReply[T any](u *Upgrader, reply <-chan T) (r T, ok bool) {
	select {
	case r = <-reply:
		return r, true
	case <-u.phase.done:
	}
	select {
	case r = <-reply: // with it the lifecycle has ended
		return r, true
	default:
		return r, false
	}
}
