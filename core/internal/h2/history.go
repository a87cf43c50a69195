package h2

import (
	"io"
	"net"
	"net/http"
	"time"
)

// history is what a server of net/http's of another process is told of a connection that has moved to it, so that it
// takes it for one that it has always had. What it answers does not reach the client.
//
//	SETTINGS                the client's, with a large window for streams
//	HEADERS                 a request on the highest stream that the client has opened. Every lower one is closed for
//	                        the server then. The answer takes what the connection's window lacks of its first size:
//	                        Conn.Answer gives it
//	HEADERS, END_STREAM     trailers that fill the header table
//	SETTINGS                no header table, so that the server's encoder forgets what that answer has put into its own
//	SETTINGS                the client's
//	WINDOW_UPDATE           if the connection's window is larger than its first size
//	SETTINGS ACK            if the server says what the client knows. Else that hears the difference, and acknowledges it
//	PING                    the answer is the end
//
// A client that has opened no stream has no header table, and owes nothing: all about the request is left out.
//
// What grpc-go's server is told is in historygrpc.go.
type history struct {
	c    *Conn
	st   *State
	step int // the reading goroutine's

	greeted, answered, ended, heard, broken chan struct{} // closed when that has come to pass

	// Of the goroutines that write, with the mutex of the writes.
	greeting Greeting
	same     bool  // the client knows what the server says
	answers  bool  // the answer has begun
	left     int64 // what is to come of it
}

// frameSize is the largest payload that every server takes (RFC 9113, section 4.2).
const frameSize = 1 << 14

// historyRequest is GET http:/ in HPACK, which adds nothing to a table.
var historyRequest = []byte{methodGet, 0x86, 0x84}

// Adopt returns a connection over nc that another process has moved, in the state st, for a server of such a
// transport. Its Greeting must take it. onLeave is as in New.
func Adopt(nc net.Conn, st *State, of Transport, onLeave func()) *Conn {
	c := New(nc, 0, 0, onLeave)
	c.of = of
	k := &c.books
	k.client, k.server, k.greeted = st.Client, st.Server, true
	k.last, k.send, k.receive = st.Last, int64(st.Send), int64(st.Receive)
	if err := k.table.follow(st.Table); err != nil {
		k.stick(err.Error())
	}
	h := &history{
		c: c, st: st, greeting: Greeting{Window: initialWindow}, left: max(initialWindow-int64(st.Send), 0),
		greeted: make(chan struct{}), answered: make(chan struct{}), ended: make(chan struct{}),
		heard: make(chan struct{}), broken: make(chan struct{}),
	}
	switch {
	case of == GRPC:
		c.closed = st.Last
	case st.Last > 0:
		c.debt.Store(h.left)
	}
	c.history, c.writes.filter = h, h
	c.ahead = []byte(Preface)
	c.withheld.b = st.Held
	return c
}

// tell finds what the server is told next.
func (c *Conn) tell() error {
	h := c.history
	h.step++
	if c.of == GRPC {
		return h.tellGRPC()
	}
	large := h.st.Client.with(settingWindow, 1<<20)
	switch {
	case h.step == 1 && h.st.Last > 0:
		c.hidden.Store(true)
		c.ahead = large.appendFrame(nil)
		c.ahead = appendFrame(c.ahead, typeHeaders, flagEndHeaders, h.st.Last, historyRequest...)
	case h.step == 2 && h.st.Last > 0:
		if err := h.await(h.answered); err != nil {
			return err
		}
		c.ahead = appendBlock(nil, h.st.Last, h.st.Table)
	case h.step <= 3:
		if h.step = 3; h.st.Last > 0 {
			if err := h.await(h.ended); err != nil {
				return err
			}
			c.ahead = h.st.Client.with(settingTableSize, 0).appendFrame(nil)
		}
		c.ahead = h.st.Client.with(settingTableSize, h.st.Client.get(settingTableSize)).
			with(settingWindow, h.st.Client.get(settingWindow)).appendFrame(c.ahead)
		if more := int64(h.st.Send) - initialWindow; more > 0 {
			c.ahead = appendWindow(c.ahead, 0, uint32(more))
		}
	case h.step == 4:
		if err := h.await(h.greeted); err != nil {
			return err
		}
		c.ahead = h.appendEnd(c.ahead)
	default:
		return h.awaitEnd()
	}
	return nil
}

// appendEnd appends what the server has to answer when it knows everything.
func (h *history) appendEnd(b []byte) []byte {
	if h.same {
		b = appendFrame(b, typeSettings, flagAck, 0)
	}
	return appendFrame(b, typePing, 0, 0, marker[:]...)
}

// awaitEnd waits for the answer.
func (h *history) awaitEnd() error {
	if err := h.await(h.heard); err != nil {
		return err
	}
	h.c.hidden.Store(false)
	h.c.debt.Store(-1)
	h.c.history = nil
	return nil
}

func (h *history) await(ch <-chan struct{}) error {
	select {
	case <-ch:
		return nil
	case <-h.c.ended:
		return net.ErrClosed
	case <-h.broken:
		return io.EOF
	}
}

// appendBlock appends a header block that ends a stream.
func appendBlock(b []byte, stream uint32, block []byte) []byte {
	kind, flags := byte(typeHeaders), byte(flagEndStream)
	for {
		n := min(len(block), frameSize)
		if n == len(block) {
			return appendFrame(b, kind, flags|flagEndHeaders, stream, block...)
		}
		b = appendFrame(b, kind, flags, stream, block[:n]...)
		kind, flags, block = typeContinuation, 0, block[n:]
	}
}

// sees is the filter's.
func (h *history) sees(frame []byte) (keep, over bool) {
	head, payload := (*head)(frame), frame[headSize:]
	switch kind := head.kind(); {
	case kind == typeSettings && !head.has(flagAck):
		h.greets(payload)
	case kind == typeWindowUpdate && head.stream() == 0 && len(payload) == 4:
		h.greeting.Window += increment(frame)
	case kind == typePing && isMarked(frame):
		h.c.writes.out.greeted = true
		h.level()
		return false, true
	case kind == typePing, kind == typeGoAway: // the server's own
		return true, false
	case head.stream() == h.st.Last && h.st.Last > 0:
		if h.c.of == GRPC {
			h.seesReset(head)
		} else {
			h.seesAnswer(head)
		}
	}
	return false, false
}

// greets is for the server's SETTINGS.
func (h *history) greets(payload []byte) {
	h.greeting.Settings.take(payload)
	change := h.greeting.Settings.change(&h.st.Server)
	if h.same = len(change) == 0; !h.same {
		k := &h.c.books
		k.mu.Lock()
		k.unacked = append(k.unacked, ofServer)
		k.server.take(change)
		k.mu.Unlock()
	}
	h.c.books.beginsNow(&h.greeting.Settings)
	closeOnce(h.greeted) // now: a client that writes before it reads has room for nothing more
	if !h.same {
		h.says(appendFrame(nil, typeSettings, 0, 0, change...))
	}
}

// seesAnswer is for a frame of the answer.
func (h *history) seesAnswer(head *head) {
	switch head.kind() {
	case typeHeaders:
		h.answers = true
	case typeData:
		h.left -= int64(head.size())
	}
	told := h.answers && h.left <= 0
	ends := head.kind() == typeReset || head.has(flagEndStream) && head.kind() <= typeHeaders
	switch {
	case told && h.left == 0:
		closeOnce(h.answered)
		if ends {
			closeOnce(h.ended)
		}
	case told || ends:
		h.fail() // it has said too much or too little: what is known of the window is wrong
	}
}

// fail ends the connection, because the server does not do what it should. Nothing of the client's has been read, and what
// it has sent it can send again.
func (h *history) fail() {
	h.says(goAway(h.st.Last, 0))
	h.c.books.stickNow(stuckServerLeaves)
	closeOnce(h.broken)
}

// level ends the history, and says to the client what it may send, as the server believes. With net/http's rules that is
// what it knows, less what the server before has not given back yet.
func (h *history) level() {
	k := &h.c.books
	k.mu.Lock()
	more := h.greeting.Window - k.receive
	k.receive = max(k.receive, h.greeting.Window)
	switch {
	case more < 0 && h.c.of == GRPC:
		h.c.writes.filter = &leveler{h.c, -more} // the next filter
	case more < 0:
		k.stick(stuckWindow)
	}
	k.mu.Unlock()
	closeOnce(h.heard) // as in greets
	if more > 0 {
		h.says(appendWindow(nil, 0, uint32(more)))
	}
}

// says says something to the client.
func (h *history) says(frame []byte) {
	defer h.c.writes.deadline.suspend(h.c.Conn)()
	_, _ = h.c.Conn.Write(frame) // the server notices when it writes
}

// closeOnce is called with the mutex of the writes.
func closeOnce(ch chan struct{}) {
	if !isClosed(ch) {
		close(ch)
	}
}

// Answer answers the request of a history if r is that, and reports whether. The server that adopted connections are
// given to calls it for each request of such a connection, before anything else.
func (c *Conn) Answer(w http.ResponseWriter, r *http.Request) bool {
	debt := c.debt.Swap(-1)
	if debt < 0 {
		return false
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{})
	_ = rc.SetWriteDeadline(time.Time{})
	w.WriteHeader(http.StatusOK)
	var zeros [4096]byte
	for debt > 0 {
		n, err := w.Write(zeros[:min(debt, int64(len(zeros)))])
		if err != nil {
			return true
		}
		debt -= int64(n)
	}
	_ = rc.Flush()
	_, _ = io.Copy(io.Discard, r.Body) // the end are the trailers
	return true
}

// Hidden reports whether the server answers the request of a history, of which nobody else is to hear.
func (c *Conn) Hidden() bool { return c.hidden.Load() }
