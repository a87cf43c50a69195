//go:build unix

package core

// MinReserve is the number of descriptors that have to be free for an upgrade.
const MinReserve = minReserve

// HandoverSocket is the descriptor that this process was started with, 0 for none.
func HandoverSocket() int { return boot.control }

// StartedGraceful reports whether the process was started with -graceful.
func StartedGraceful() bool { return boot.graceful }

// HangUp ends the conversation with the old process.
func (u *Upgrader) HangUp() { u.inherited.old.HangUp() }

// CloseListeners closes the listeners, as a program does that serves no more.
func (u *Upgrader) CloseListeners() {
	for _, l := range only[*listener](u.passing.all()) {
		_ = l.Close()
	}
}

// Pause and Resume do to a socket what the probation of a next process does.
func (c *PacketConn) Pause()  { c.pause() }
func (c *PacketConn) Resume() { c.resume() }

// Descriptor is the one that the next process would get.
func (c *PacketConn) Descriptor() int { return c.dup }

// AwaitStack is awaitStack.
var AwaitStack = awaitStack
