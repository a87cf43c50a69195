package load

import (
	"encoding/binary"
	"io"
)

// What the client has to know of HTTP/2 (RFC 9113, sections 3.4 and 6).
const (
	http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8

	flagAck        = 0x1
	flagEndStream  = 0x1
	flagEndHeaders = 0x4

	settingInitialWindow = 0x4
	initialWindow        = 65535   // until SETTINGS say otherwise (section 6.9.2)
	largeWindow          = 1 << 30 // what the server may send; half of it is given back at a time

	lastStream = 1<<31 - 1 // of the first GOAWAY (section 6.8)
)

// frame is one that has been read.
type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

func readFrame(r io.Reader) (f frame, err error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return f, err
	}
	size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	f = frame{head[3], head[4], binary.BigEndian.Uint32(head[5:]) & lastStream, make([]byte, size)}
	if _, err = io.ReadFull(r, f.payload); err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return f, err
}

// number returns the n-th number of 32 bits in the payload, 0 if it is not there.
func (f *frame) number(n int) uint32 {
	if len(f.payload) < 4*n+4 {
		return 0
	}
	return binary.BigEndian.Uint32(f.payload[4*n:])
}

// setting returns a parameter of SETTINGS.
func (f *frame) setting(id uint16) (v uint32, ok bool) {
	for p := f.payload; len(p) >= 6; p = p[6:] {
		if binary.BigEndian.Uint16(p) == id {
			v, ok = binary.BigEndian.Uint32(p[2:]), true
		}
	}
	return v, ok
}

func appendFrame(b []byte, kind, flags byte, stream uint32, payload ...byte) []byte {
	n := len(payload)
	b = append(b, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// appendNumber appends a frame with a payload of one number.
func appendNumber(b []byte, kind byte, stream, v uint32) []byte {
	return appendFrame(b, kind, 0, stream, binary.BigEndian.AppendUint32(nil, v)...)
}

// appendField appends a header field that goes into no table, with its name from the static
// one (RFC 7541, section 6.2.2 and appendix A).
func appendField(b []byte, name int, value string) []byte {
	b = appendInteger(b, 4, name)
	b = appendInteger(b, 7, len(value))
	return append(b, value...)
}

// appendInteger is RFC 7541, section 5.1, with no bits before the prefix.
func appendInteger(b []byte, prefix, v int) []byte {
	limit := 1<<prefix - 1
	if v < limit {
		return append(b, byte(v))
	}
	b = append(b, byte(limit))
	for v -= limit; v >= 1<<7; v >>= 7 {
		b = append(b, byte(v)|1<<7)
	}
	return append(b, byte(v))
}
