package tls13

import "sync"

// bufferSize is that of a read buffer, in bytes: a record, and the beginning of the next ones.
const bufferSize = 18 << 10

// buffers has those that no connection needs at the moment. A connection that waits for a record has none.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// How many records are made at once, and the sizes of the buffers that they are made in.
const (
	maxBatch  = 4
	smallSize = 4<<10 + headSize + 1 + tagSize // for what net/http writes through its buffers
	largeSize = maxBatch*(maxPlain+headSize+1+tagSize) + headSize + keyUpdateSize + 1 + tagSize
)

var (
	smallRecords = sync.Pool{New: func() any { return new([smallSize]byte) }}
	largeRecords = sync.Pool{New: func() any { return new([largeSize]byte) }}
)

// withRecords calls f with a buffer for records of so much content.
func withRecords(content int, f func(buf []byte) (int, error)) (int, error) {
	if sealed(content) <= smallSize {
		b := smallRecords.Get().(*[smallSize]byte)
		defer smallRecords.Put(b)
		return f(b[:0])
	}
	b := largeRecords.Get().(*[largeSize]byte)
	defer largeRecords.Put(b)
	return f(b[:0])
}
