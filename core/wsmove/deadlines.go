package wsmove

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// longAgo is a deadline that ends a Read or a Write at once.
var longAgo = time.Unix(1, 0)

// deadlines are the program's, and ours, by which a Read or a Write that waits is woken. While one of ours is set, the
// program's is remembered.
type deadlines struct {
	socket net.Conn

	mu          sync.Mutex
	read, write deadline
}

type deadline struct {
	program time.Time // zero is none
	ours    bool      // ours is set
	woken   bool      // one of ours was set at some time
}

func (d *deadlines) setRead(t time.Time) error  { return d.set(&d.read, d.socket.SetReadDeadline, t) }
func (d *deadlines) setWrite(t time.Time) error { return d.set(&d.write, d.socket.SetWriteDeadline, t) }

func (d *deadlines) set(x *deadline, set func(time.Time) error, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	x.program = t
	if x.ours {
		return nil
	}
	return set(t)
}

func (d *deadlines) wakeRead()  { d.wake(&d.read, d.socket.SetReadDeadline) }
func (d *deadlines) wakeWrite() { d.wake(&d.write, d.socket.SetWriteDeadline) }

func (d *deadlines) wake(x *deadline, set func(time.Time) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	x.ours, x.woken = true, true
	_ = set(longAgo)
}

func (d *deadlines) restoreRead() { d.restore(&d.read, d.socket.SetReadDeadline) }
func (d *deadlines) restore(x *deadline, set func(time.Time) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if x.ours {
		x.ours = false
		_ = set(x.program)
	}
}

// readIsOurs and writeIsOurs report whether err is that of a Read or Write which we have woken.
func (d *deadlines) readIsOurs(err error) bool  { return d.isOurs(&d.read, err) }
func (d *deadlines) writeIsOurs(err error) bool { return d.isOurs(&d.write, err) }

// isOurs does not ask whether ours is still set: it may have been taken back before the Read has returned.
func (d *deadlines) isOurs(x *deadline, err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return x.woken && errors.Is(err, os.ErrDeadlineExceeded) && (x.program.IsZero() || time.Now().Before(x.program))
}

func (d *deadlines) restoreWrite() { d.restore(&d.write, d.socket.SetWriteDeadline) }
