package tls13

import "time"

// Whole reports whether no part of a record has come, so that Seal is not busy for that. The goroutine that reads calls it.
func (f *First) Whole() bool { return f.low.atRecord() }

// Whole reports true: the parts of a record move.
func (c *Conn) Whole() bool { return true }

// Complete waits until the rest of a record has come of which there is a part, for no longer than that. It is kept for
// whoever reads next, and nobody may read meanwhile. No deadline for reading is left.
func (f *First) Complete(limit time.Duration) error {
	f.reads.Lock()
	defer f.reads.Unlock()
	if f.low.atRecord() || f.ended != nil {
		return f.ended
	}
	_ = f.conn.SetReadDeadline(time.Now().Add(limit))
	defer func() { _ = f.conn.SetReadDeadline(time.Time{}) }()
	b := make([]byte, maxPlain)
	n, err := f.conn.Read(b)
	if n > 0 {
		f.low.open = false
		f.plain = append(f.plain, b[:n]...)
	}
	return err
}
