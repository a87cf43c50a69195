package main

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// backlog is how many messages the log holds. It bounds how far a member may
	// lag behind, and how much may be said in a new process before the last member
	// has come from the old one: who misses a message is dropped, not deceived.
	backlog = 10_000
	// batch is how many messages at most go to a member with one write.
	batch = 64
)

// hub is the room: a log of what has been said in this process, and who may add to
// it. Each member has its place in the log, up to which it was sent everything.
//
// Writers wait for the log to grow; a slow one holds up nobody else.
type hub struct {
	mu       sync.Mutex
	changed  *sync.Cond           // on mu: there is something for a writer to look at
	log      [][]byte             // frames, the last ones
	first    int                  // how many were there before log[0]
	readers  map[*member]struct{} // members that are being read from
	draining bool                 // nobody is
	leaving  <-chan struct{}      // that is closed when this process drains, see follow
}

func newHub() *hub {
	h := &hub{readers: make(map[*member]struct{})}
	h.changed = sync.NewCond(&h.mu)
	return h
}

// join begins to read from m. A new member is sent what is said from here on. One who has moved here is sent
// all that was said in this process, by new members and by those who came from the old process before it.
//
// It does so while this process drains, too: somebody's request was on its way, or
// the old process has just moved somebody here. Then the reader ends at once.
func (h *hub) join(m *member, moved bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !moved {
		m.sent = h.endLocked()
	}
	h.readers[m] = struct{}{}
	go m.read()
}

// follow has the room drained when the channel of core.Draining is closed. A process whose
// next one has died in its drain serves again, and has a new channel: then the room is open again.
func (h *hub) follow(leaving <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if leaving == h.leaving {
		return
	}
	h.leaving, h.draining = leaving, false
	go func() {
		<-leaving
		h.drain()
	}()
}

// drain stops the readers, and those that start later. They may be in the middle of a
// message, of which the inbox then has the beginning.
func (h *hub) drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
	for m := range h.readers {
		m.conn.SetReadDeadline(time.Unix(1, 0))
	}
	h.changed.Broadcast()
}

// drains reports whether readers should stop.
func (h *hub) drains() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.draining
}

// stopped is the end of m's reader. A nil why means that the process drains.
func (h *hub) stopped(m *member, why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.readers, m)
	m.left = why
	h.changed.Broadcast()
}

// publish adds a frame to the log.
func (h *hub) publish(frame []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.log) == backlog {
		h.log[0] = nil // or the array under the slice would keep it
		h.log = h.log[1:]
		h.first++
	}
	h.log = append(h.log, frame)
	h.changed.Broadcast()
}

// answer has m sent the answer to its last ping. One to an earlier ping that has not
// been sent is not needed any more (RFC 6455, section 5.5.3).
func (h *hub) answer(m *member, pong []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m.pong = pong
	h.changed.Broadcast()
}

// next waits for what to send to m. There is none when m has left, or when m was
// sent everything, all readers have stopped, and so nothing more will be said here.
func (h *hub) next(m *member) ([][]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case m.left != nil:
			return nil, nil
		case m.pong != nil:
			pong := m.pong
			m.pong = nil
			return [][]byte{pong}, nil
		case m.sent < h.first:
			return nil, fmt.Errorf("it is more than %d messages behind", backlog)
		case m.sent < h.endLocked():
			from := m.sent - h.first
			to := min(from+batch, len(h.log))
			m.sent = h.first + to
			return slices.Clone(h.log[from:to]), nil
		case h.draining && len(h.readers) == 0:
			return nil, nil
		}
		h.changed.Wait()
	}
}

func (h *hub) endLocked() int { return h.first + len(h.log) }
