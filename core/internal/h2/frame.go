package h2

import "encoding/binary"

// Preface is what a client sends first (RFC 9113, section 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// headSize is the size of a frame's header (RFC 9113, section 4.1).
const headSize = 9

// The types of frames that matter here, and their flags (RFC 9113, section 6).
const (
	typeData         = 0x0
	typeHeaders      = 0x1
	typeReset        = 0x3
	typeSettings     = 0x4
	typePushPromise  = 0x5
	typePing         = 0x6
	typeGoAway       = 0x7
	typeWindowUpdate = 0x8
	typeContinuation = 0x9

	flagAck        = 0x1 // of SETTINGS and PING
	flagEndStream  = 0x1 // of HEADERS and DATA
	flagEndHeaders = 0x4
	flagPadded     = 0x8  // of HEADERS
	flagPriority   = 0x20 // of HEADERS
)

const (
	pingSize     = 8
	prioritySize = 5
	// maxStream names every stream in a GOAWAY, also those that are not open yet.
	maxStream = 1<<31 - 1
	// codeInadequateSecurity is for TLS that section 9.2 forbids.
	codeInadequateSecurity = 0xc
)

// head is a frame's header.
type head [headSize]byte

func (h *head) size() int       { return int(h[0])<<16 | int(h[1])<<8 | int(h[2]) }
func (h *head) kind() byte      { return h[3] }
func (h *head) has(f byte) bool { return h[4]&f != 0 }
func (h *head) stream() uint32  { return binary.BigEndian.Uint32(h[5:]) & maxStream }

// appendFrame appends a frame to b.
func appendFrame(b []byte, kind, flags byte, stream uint32, payload ...byte) []byte {
	n := len(payload)
	b = append(b, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// increment is what a WINDOW_UPDATE adds.
func increment(frame []byte) int64 {
	return int64(binary.BigEndian.Uint32(frame[headSize:]) & maxWindow)
}

func setIncrement(frame []byte, n int64) { binary.BigEndian.PutUint32(frame[headSize:], uint32(n)) }

// goAway is the frame that names the last stream.
func goAway(last, code uint32) []byte {
	payload := binary.BigEndian.AppendUint32(nil, last)
	return appendFrame(nil, typeGoAway, 0, 0, binary.BigEndian.AppendUint32(payload, code)...)
}

// Inadequate is what a server says before it closes a connection whose TLS is not good enough for HTTP/2.
func Inadequate() []byte { return goAway(0, codeInadequateSecurity) }

// block follows a header block: HEADERS or PUSH_PROMISE and its CONTINUATION frames,
// between which no other frame may be (RFC 9113, section 4.3).
type block bool

func (b *block) follow(h *head) {
	switch h.kind() {
	case typeHeaders, typePushPromise, typeContinuation:
		*b = block(!h.has(flagEndHeaders))
	}
}

// scanner follows the frames in what a server writes.
type scanner struct {
	head    head
	have    int   // bytes of head
	left    int   // bytes of the payload to come
	block   block // the header block is not over
	greeted bool  // SETTINGS, which come first, have begun
}

// open reports whether a frame of somebody else's may come now.
func (s *scanner) open() bool { return s.greeted && s.have == 0 && s.left == 0 && !bool(s.block) }

// next follows b to the end of a header or a payload at the most, and returns how far.
func (s *scanner) next(b []byte) int {
	if s.left > 0 {
		n := min(s.left, len(b))
		s.left -= n
		return n
	}
	n := copy(s.head[s.have:], b)
	if s.have += n; s.have == headSize {
		s.have, s.left = 0, s.head.size()
		s.block.follow(&s.head)
		s.greeted = s.greeted || s.head.kind() == typeSettings
	}
	return n
}

func (s *scanner) follow(b []byte) {
	for len(b) > 0 {
		b = b[s.next(b):]
	}
}

// gap returns how much of b comes before the first place where a frame of somebody
// else's may be, or -1 if b has none. It follows nothing.
func (s *scanner) gap(b []byte) int {
	t := *s
	for at := 0; ; {
		if t.open() {
			return at
		}
		if at == len(b) {
			return -1
		}
		at += t.next(b[at:])
	}
}
