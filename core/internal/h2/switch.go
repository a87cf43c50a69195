package h2

// AfterUpgrade says that the server answers a request with "Upgrade: h2c" (RFC 7540, section 3.2) before it writes frames,
// and that the answer to that request is stream 1. It is called before anything is read or written, and after Count.
func (c *Conn) AfterUpgrade() {
	c.writes.answer.comes = true
	if s := c.streams; s != nil {
		s.last, s.open[1] = 1, struct{}{}
	}
}

// answer is an answer of HTTP/1, "101 Switching Protocols", in what the server writes.
type answer struct {
	comes bool // it has not ended
	have  int  // bytes of its last four
}

// skip returns what of b is behind it.
func (a *answer) skip(b []byte) []byte {
	const end = "\r\n\r\n"
	for a.comes && len(b) > 0 {
		switch b[0] {
		case end[a.have]:
			a.have++
		case end[0]:
			a.have = 1
		default:
			a.have = 0
		}
		a.comes, b = a.have < len(end), b[1:]
	}
	return b
}

// checks reports whether the bytes that have come are the preface's, of which so many are left. What a client says that
// does not speak HTTP/2 after all is passed on as it is, and it is not asked to leave.
func (c *Conn) checks(b []byte) bool {
	from := len(Preface) - c.preface
	if string(b) == Preface[from:from+len(b)] {
		return true
	}
	c.writes.mu.Lock()
	defer c.writes.mu.Unlock()
	c.asked.Store(true)
	c.writes.other = true
	if !isClosed(c.first) {
		close(c.first)
	}
	c.End()
	return false
}
