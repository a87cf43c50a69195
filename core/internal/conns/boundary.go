package conns

import (
	"net/http"
	"sync/atomic"
)

// readBuffer is the size of the buffer that net/http reads requests through.
const readBuffer = 4096

// waitStep is where net/http is between two requests. It says idle, sets the deadline of the wait, makes sure
// that four bytes of the next request are in its buffer, which takes a Read if there are fewer, and sets the
// deadline of the request. A Read in between that has room for the whole buffer proves that there is nothing
// in it. selfTest checks all that.
type waitStep uint32

const (
	notWaiting  waitStep = iota // a request is read or answered, or none has been
	saidIdle                    // by ConnState
	waitsForOne                 // the deadline of the wait is set
)

// waitPhase is where a connection is with the wait for its next request. The goroutine that serves it goes
// from waitsNot to waits and back; the mover goes from waits to woken, and the other one goes from there to
// waitsNot when the mover is done with it.
type waitPhase uint32

const (
	waitsNot waitPhase = iota
	waits              // for the first byte of a request, of which nothing has been read
	woken              // by a deadline in the past
)

// boundary is where a connection stands between one request and the next: the only place at which it
// can move, because nothing of it is in this process then. The goroutine that serves the connection
// changes it, and the mover changes wait. These hold:
//
//   - begun is set from the first byte of a request until net/http says idle: that request must be
//     answered here. As long as it is not set, nothing of a request has been read.
//   - step goes its way between two requests only, and only on a connection that can move.
//   - wait is waits only while nothing has been read, and whoever is in that Read looks for the mover
//     after setting it, while the mover is set before it looks at wait: one of the two sees the other.
//   - refused is set for as long as that mover is.
type boundary struct {
	begun   atomic.Bool   // a byte of the next request has been read
	http1   atomic.Bool   // it speaks HTTP/1 and nothing else
	step    atomic.Uint32 // a waitStep
	wait    atomic.Uint32 // a waitPhase
	chunked bool          // the body of the request being answered is chunked
	unused  bool          // the connection came without having carried a request
	refused *Mover        // that could not move it
}

// begin notes the first byte of a request. It writes once a request: others read begun.
func (b *boundary) begin() {
	if !b.begun.Load() {
		b.begun.Store(true)
	}
}

// end notes that net/http has said idle. followed says that its steps are followed from here.
func (b *boundary) end(followed bool) {
	b.begun.Store(false)
	if followed {
		b.step.Store(uint32(saidIdle))
		b.chunked, b.unused = false, false
	}
}

// deadline notes that net/http sets a read deadline, and reports whether it is that of the wait.
func (b *boundary) deadline() (ofWait bool) {
	switch waitStep(b.step.Load()) {
	case saidIdle:
		b.step.Store(uint32(waitsForOne))
		return true
	case waitsForOne:
		b.step.Store(uint32(notWaiting))
		b.begin()
	}
	return false
}

// proves reports whether a Read between two requests, with room for that many bytes, shows that
// net/http has nothing of the next one. HTTP/2 reads in other ways, and says idle before its first request.
func (b *boundary) proves(room int) bool {
	return b.http1.Load() && waitStep(b.step.Load()) == waitsForOne && room == readBuffer
}

// waiting reports whether a Read waits for the first byte.
func (b *boundary) waiting() bool { return waitPhase(b.wait.Load()) == waits }

// startWait begins the wait.
func (b *boundary) startWait() { b.wait.Store(uint32(waits)) }

// change goes from one phase to the next, and reports false if the other goroutine was first.
func (b *boundary) change(from, to waitPhase) bool {
	return b.wait.CompareAndSwap(uint32(from), uint32(to))
}

// note looks at a request for which a handler is about to run.
func (b *boundary) note(r *http.Request) {
	b.speaksHTTP1() // its first bytes did not tell
	if r.ContentLength < 0 {
		b.chunked = true // until it is idle
	}
}

func (b *boundary) speaksHTTP1() {
	if !b.http1.Load() {
		b.http1.Store(true)
	}
}
