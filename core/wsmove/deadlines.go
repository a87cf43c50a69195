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
	gone        bool // the socket is not the program's any more
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
	if x.ours || d.gone {
		return nil
	}
	return set(t)
}

func (d *deadlines) wakeRead() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.read.ours, d.read.woken = true, true
	_ = d.socket.SetReadDeadline(longAgo)
}

// wakeWrite wakes a Write for an attempt, unless its sealing is over. The sealing ends with restoreWrite, so nothing of
// ours is left behind it.
func (d *deadlines) wakeWrite(a *attempt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if isClosed(a.sealed) || isClosed(a.undone) {
		return
	}
	d.write.ours, d.write.woken = true, true
	_ = d.socket.SetWriteDeadline(longAgo)
}

func (d *deadlines) restoreRead()  { d.restore(&d.read, d.socket.SetReadDeadline) }
func (d *deadlines) restoreWrite() { d.restore(&d.write, d.socket.SetWriteDeadline) }

func (d *deadlines) restore(x *deadline, set func(time.Time) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if x.ours {
		x.ours = false
		_ = set(x.program)
	}
}

// putOffRead moves the program's deadline for a time in which nothing was read, though the client may have sent
// something.
func (d *deadlines) putOffRead(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.read.program.IsZero() {
		return
	}
	d.read.program = d.read.program.Add(by)
	if !d.read.ours && !d.gone {
		_ = d.socket.SetReadDeadline(d.read.program)
	}
}

// letGo keeps what the program sets from here on away from the socket: another handler of this process can have it, if
// the new process does not take it.
func (d *deadlines) letGo() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = true
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
