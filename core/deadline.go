package core

import "time"

// Deadline returns when the drain of this process cuts what is left, which is WithDrainTimeout after it has begun. It is
// known when the channel of Draining is closed. A server that gracex does not serve itself, such as one of gRPC, tells
// its streams in time by it.
//
// ok is false if no drain has begun, or if it has no limit. After a late rollback it is false again. Any goroutine may
// call Deadline at any time.
func (u *Upgrader) Deadline() (deadline time.Time, ok bool) {
	at := u.phase.deadline.Load()
	if at == 0 {
		return time.Time{}, false
	}
	return time.UnixMilli(at), true
}
