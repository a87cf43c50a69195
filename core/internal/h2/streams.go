package h2

import "sync"

// streams are the requests on a connection whose server is not net/http's, but that of a handler which has taken the
// connection over. A nil *streams counts nothing.
type streams struct {
	ended func() // an answer is out

	mu   sync.Mutex
	out  scanner             // follows what the server writes
	open map[uint32]struct{} // that have no answer yet, or not all of it
	last uint32              // that the client has opened
	left bool                // the server has said GOAWAY: it ignores those that are opened later
}

// Count has the streams counted from here on. It is called before anything is read or written; ended, for each that the
// server has answered.
func (c *Conn) Count(ended func()) {
	c.streams = &streams{ended: ended, open: make(map[uint32]struct{})}
}

// Counts reports whether the streams are counted.
func (c *Conn) Counts() bool { return c.streams != nil }

// Open is how many streams there are that the client has opened and the server has not answered to the end; 0 if they
// are not counted.
func (c *Conn) Open() int {
	s := c.streams
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// client looks at the header of a frame of the client's.
func (s *streams) client(h *head) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch id := h.stream(); {
	case h.kind() == typeReset:
		delete(s.open, id)
	case h.kind() == typeHeaders && id > s.last: // else they are trailers
		s.last = id
		if !s.left {
			s.open[id] = struct{}{}
		}
	}
}

// server looks at what the server has written.
func (s *streams) server(b []byte) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(b) > 0 {
		b = b[s.out.next(b):]
		if s.out.have == 0 && s.out.left == 0 {
			s.frame(&s.out.head)
		}
	}
}

// frame looks at the header of a frame that is out.
func (s *streams) frame(h *head) {
	switch h.kind() {
	case typeGoAway:
		s.left = true
	case typeReset:
		delete(s.open, h.stream())
	case typeHeaders, typeData:
		if _, ok := s.open[h.stream()]; ok && h.has(flagEndStream) {
			delete(s.open, h.stream())
			s.ended()
		}
	}
}
