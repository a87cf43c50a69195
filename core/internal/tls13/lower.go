package tls13

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// lower stands between the socket and crypto/tls, and gives it no more than one record at a time. So when crypto/tls asks for
// the first byte of a record it has used up all that came before.
type lower struct {
	net.Conn
	off atomic.Bool // the connection does not move: nothing is followed any more

	// Of the goroutine that reads.
	head     [headSize]byte
	have     int    // bytes of head that crypto/tls has
	left     int    // bytes of the record's payload that it has not
	sizes    [2]int // of the last two records
	ahead    []byte // read from the socket behind the record
	asks     bool   // nothing is read: crypto/tls is asked what it has
	done     bool   // the handshake is over
	open     bool   // crypto/tls has had a record, and has not given out data since
	useless  bool   // it has asked for another one then
	received uint64 // encrypted records since the handshake
	holds    atomic.Bool

	mu     sync.Mutex // held while something is written, and while the connection is sealed
	told   *told      // the secrets
	shake  *half      // the server's key of the handshake; nil before a record was written with it, and after found
	last   *half      // the server's last key, likewise
	found  bool       // the first record with the last key
	sent   uint64     // records with that key
	broken bool       // something was written that can't be followed
	gone   bool       // another process has the connection
}

// Format keeps the secrets out of any text: the program has it in a tls.ClientHelloInfo.
func (*lower) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[TLS connection]") }

// askedError is what crypto/tls is told when it is asked what it has. It goes on after a timeout.
type askedError struct{}

func (askedError) Error() string   { return "the TLS connection is looked at" }
func (askedError) Timeout() bool   { return true }
func (askedError) Temporary() bool { return true }

// atRecord reports whether crypto/tls has whole records.
func (l *lower) atRecord() bool { return l.have == 0 }

// Read reads no further than to the end of a record, in b itself if it can.
func (l *lower) Read(b []byte) (int, error) {
	if l.atRecord() {
		l.useless = l.useless || l.open
		if l.asks {
			return 0, askedError{}
		}
	}
	if l.off.Load() {
		if len(l.ahead) == 0 {
			return l.Conn.Read(b)
		}
		n := copy(b, l.ahead)
		if l.ahead = l.ahead[n:]; len(l.ahead) == 0 {
			l.ahead = nil
			l.holds.Store(false)
		}
		return n, nil
	}
	if len(l.ahead) > 0 {
		n := l.follow(l.ahead[:min(len(b), len(l.ahead))])
		copy(b, l.ahead[:n])
		if l.ahead = l.ahead[n:]; len(l.ahead) == 0 {
			l.ahead = nil
		}
		l.notes()
		return n, nil
	}
	l.notes()
	n, err := l.Conn.Read(b[:min(len(b), l.room())])
	used := l.follow(b[:n])
	if used < n {
		l.ahead = append([]byte(nil), b[used:n]...)
	}
	l.notes()
	return used, err
}

// room is how much to read at once. In a large transfer the next record is as large as the last ones, and behind
// it there is the next one, which would have to be kept.
func (l *lower) room() int {
	if l.have == headSize {
		return l.left
	}
	return max(l.sizes[0], l.sizes[1], 2<<10) - l.have
}

// follow goes through b to the end of the record, and returns how much that is.
func (l *lower) follow(b []byte) (n int) {
	if l.have < headSize {
		n = copy(l.head[l.have:], b)
		if l.have += n; l.have < headSize {
			return n
		}
		l.left = int(l.head[3])<<8 | int(l.head[4])
		l.sizes = [2]int{min(headSize+l.left, headSize+maxCipher), l.sizes[0]}
	}
	m := min(len(b)-n, l.left)
	if l.left -= m; l.left > 0 {
		return n + m
	}
	l.have, l.open = 0, true
	if l.head[0] == typeData && l.done {
		l.received++
	}
	return n + m
}

// notes keeps holds.
func (l *lower) notes() {
	if holds := l.have > 0 || len(l.ahead) > 0; holds != l.holds.Load() {
		l.holds.Store(holds)
	}
}

// Write gets whole records from crypto/tls.
func (l *lower) Write(b []byte) (int, error) {
	if l.off.Load() {
		return l.Conn.Write(b)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return 0, net.ErrClosed
	}
	l.count(b)
	n, err := l.Conn.Write(b)
	l.broken = l.broken || err != nil
	return n, err
}

// count counts the records that are written.
func (l *lower) count(b []byte) {
	for len(b) > 0 {
		if len(b) < headSize || len(b) < headSize+(int(b[3])<<8|int(b[4])) {
			l.broken = true
			return
		}
		record := b[:headSize+(int(b[3])<<8|int(b[4]))]
		b = b[len(record):]
		switch {
		case record[0] != typeData:
		case l.found:
			l.sent++
		case l.opens(&l.shake, &l.told.shake, record):
			l.shake.seq++
		case l.opens(&l.last, &l.told.server, record):
			l.found, l.sent = true, 1
			l.told.shake = secret{}
			wipe(&l.shake)
			wipe(&l.last)
		default: // nobody knows what number the next one has
			l.broken = true
		}
	}
}

// opens reports whether a record is the next one with a key, which is made of the secret when it is needed.
func (l *lower) opens(key **half, of *secret, record []byte) bool {
	for _, s := range suites { // which suite it is crypto/tls tells when the handshake is over
		if *key == nil && s.secret == of.size {
			*key, _ = newHalf(s, of.bytes[:of.size], 0)
		}
	}
	if *key == nil {
		return false
	}
	b := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(b)
	_, err := (*key).open(b[:0], record)
	return err == nil
}

func wipe(key **half) {
	if *key != nil {
		(*key).wipe()
		*key = nil
	}
}

// finish notes that the handshake is over, after which all that is read and written is encrypted with the last keys. It
// reports false if it has not ended with a record.
func (l *lower) finish() bool {
	whole := l.atRecord()
	l.done, l.open, l.useless = true, false, false
	return whole
}

// forget clears the secrets, and follows nothing any more.
func (l *lower) forget() {
	l.off.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgetLocked()
}

// tryForget is forget, but for somebody who has the tls.Conn and is writing: Close clears the secrets then.
func (l *lower) tryForget() {
	l.off.Store(true)
	if l.mu.TryLock() {
		l.forgetLocked()
		l.mu.Unlock()
	}
}

func (l *lower) forgetLocked() {
	*l.told = told{}
	wipe(&l.shake)
	wipe(&l.last)
}

// NetConn returns the connection below, for a program that gets this one in a tls.ClientHelloInfo.
func (l *lower) NetConn() net.Conn { return l.Conn }

// SyscallConn is for such a program, too.
func (l *lower) SyscallConn() (syscall.RawConn, error) { return syscallConn(l.Conn) }
