package wsmove

import "encoding/binary"

// Opcodes (RFC 6455, section 5.2).
const (
	opClose      = 8
	opControlBit = 8
)

// Close codes (RFC 6455, section 7.4.1, and IANA's WebSocket Close Code Number Registry).
const (
	codeGoingAway = 1001
	codeInternal  = 1011
	codeRestart   = 1012
)

// follower follows the frames of one direction (RFC 6455, section 5.2). It checks nothing: the library does. The zero
// follower is at the beginning of a message.
type follower struct {
	head   [14]byte
	n      int    // how many bytes of head have come; 0 if it is complete
	left   uint64 // how many bytes of the payload are to come
	inside bool   // a message in fragments has begun and not ended
	closed bool   // a close frame has begun
}

// atFrame reports whether no frame has begun.
func (f *follower) atFrame() bool { return f.n == 0 && f.left == 0 }

// atMessage reports whether no message has begun, either.
func (f *follower) atMessage() bool { return f.atFrame() && !f.inside }

// follow takes what comes next. It returns where in b the last message ends, or the last control frame between two
// messages; -1 if none does.
func (f *follower) follow(b []byte) (end int) {
	end = -1
	for at := 0; at < len(b); {
		if f.left > 0 {
			k := min(uint64(len(b)-at), f.left)
			f.left -= k
			at += int(k)
		} else {
			f.head[f.n] = b[at]
			f.n++
			at++
			if f.n < f.headSize() {
				continue
			}
			f.begin()
		}
		if f.atMessage() {
			end = at
		}
	}
	return end
}

// headSize is the size of the head, as far as what has come of it tells.
func (f *follower) headSize() int {
	n := 2
	if f.n < n {
		return n
	}
	switch f.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&0x80 != 0 { // masked
		n += 4
	}
	return n
}

// begin reads a complete head.
func (f *follower) begin() {
	switch n := f.head[1] & 0x7f; n {
	case 126:
		f.left = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		f.left = binary.BigEndian.Uint64(f.head[2:])
	default:
		f.left = uint64(n)
	}
	op, final := f.head[0]&0x0f, f.head[0]&0x80 != 0
	switch {
	case op == opClose:
		f.closed = true
	case op&opControlBit == 0:
		f.inside = !final
	}
	f.n = 0
}

// closeFrame returns the close frame of a server, without a reason.
func closeFrame(code uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{0x80 | opClose, 2}, code)
}
