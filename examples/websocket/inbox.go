package main

import (
	"errors"
	"io"
	"slices"
)

const (
	// maxMessage is the most that a message may have, all bytes of its frames and of control frames between
	// them counted. With what may be read at once it stays below what Handoff takes along (128 KiB).
	maxMessage = 4 << 10
	readSize   = 4 << 10
)

var errTooBig = errors.New("the message is too big")

// inbox reads from a client and keeps what it has read of a message until done.
// So reading can be given up at any byte: held has all that goes along when the
// connection moves, and the next process reads the message from its beginning.
type inbox struct {
	client io.Reader
	held   []byte
	used   int // bytes of held that Read has returned
}

func (b *inbox) Read(p []byte) (int, error) {
	if b.used == maxMessage {
		return 0, errTooBig
	}
	if b.used == len(b.held) {
		b.held = slices.Grow(b.held, readSize)
		n, err := b.client.Read(b.held[b.used : b.used+readSize])
		if n == 0 {
			return 0, err
		}
		b.held = b.held[:b.used+n]
	}
	n := copy(p, b.held[b.used:min(len(b.held), maxMessage)])
	b.used += n
	return n, nil
}

// done forgets what has been used.
func (b *inbox) done() {
	b.held = slices.Delete(b.held, 0, b.used)
	b.used = 0
}
