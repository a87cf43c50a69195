package core

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

const (
	// maxName bounds the name of OnAdopt, so that a frame has room for it.
	maxName = 255
	// answerPoll is how often the old process looks whether the new one, which
	// owes it an answer, lives. Its end is mostly seen at once; a wrapper script
	// may keep the control socket open.
	answerPoll = time.Second
)

// Why a connection stays.
var (
	errNoRoom    = errors.New("the new process has no descriptors left for it")
	errNoTaker   = errors.New("the new process does not take connections over")
	errNoNext    = because(ErrStopped, errors.New("there is no new process"))
	errTakerGone = errors.New("the new process is gone")
	// errStopMoving: the drain is over.
	errStopMoving = errors.New("the drain has ended")
	// errNoAnswer: it may have moved, so nobody reads from it here any more.
	errNoAnswer = errors.New("it is not known whether the new process has it")
)

// mover is rung 1 of the drain: it hands the connections of this generation to the
// next one. A connection offers itself, by the goroutine that reads from it, and
// nobody reads from it until there is an answer.
type mover struct {
	heir   *successor
	ctl    *net.UnixConn
	table  *connTable
	log    *slog.Logger
	offers chan *offer
	begin  chan struct{} // closed when the new process is current
	quit   chan struct{} // closed to give up
	done   chan struct{} // closed when no more is moved
	why    error         // valid once done

	once   sync.Once
	room   int    // how many more the new process takes
	held   *offer // did not go into the last batch
	full   bool   // that there is no room was logged
	unsure bool   // an offer had no answer
}

// offer is one connection on its way.
type offer struct {
	wire.Conn
	left   func()     // called before the answer if it has moved, or may have; nil for nothing
	s      int        // its descriptor, open until there is an answer
	answer chan error // room for one; nil: it has moved, or may have
}

// settle answers the offer.
func (o *offer) settle(err error) {
	if errors.Is(err, errNoAnswer) {
		err = nil
	}
	if err == nil && o.left != nil {
		o.left()
	}
	o.answer <- err
}

// maxBatch bounds the encoded size of a batch, in bytes.
const maxBatch = wire.MaxPayload - 1<<10

// size is an upper bound of what the offer takes in a frame: base64, and JSON that
// escapes every byte.
func (o *offer) size() int {
	n := 200 + 6*len(o.Name) + len(o.State)*4/3
	if o.Listener != nil {
		n += 6 * (len(o.Listener.Network) + len(o.Listener.Address))
	}
	return n
}

// newMover returns nil if next takes no connections.
func newMover(next *successor, table *connTable, log *slog.Logger) *mover {
	ctl, ok := next.ctl.(*net.UnixConn)
	if !ok || next.plain || next.room <= 0 {
		return nil
	}
	m := &mover{
		heir: next, ctl: ctl, table: table, log: log, room: next.room,
		offers: make(chan *offer), begin: make(chan struct{}), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go m.run()
	return m
}

// start lets the connections move. Until then those that offer themselves wait.
func (m *mover) start() {
	_ = m.ctl.SetDeadline(noDeadline) // commit had one
	close(m.begin)
}

// leave moves c to the next generation. On an error c stays, with nothing read
// from it.
func (m *mover) leave(c *conn, what wire.Conn) error {
	return m.offer(c, &offer{Conn: what, left: func() { c.farewell.Store(uint32(farewellMoved)) }})
}

// offer offers a connection and returns the answer. Control keeps the descriptor
// open, and its number from being another one's, whoever closes the connection.
func (m *mover) offer(c syscall.Conn, o *offer) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var answer error
	err = rc.Control(func(s uintptr) {
		o.s, o.answer = int(s), make(chan error, 1)
		select {
		case m.offers <- o:
			answer = <-o.answer
		case <-m.done:
			answer = m.why
		}
	})
	if err != nil {
		return err
	}
	return answer
}

func (m *mover) run() {
	defer close(m.done)
	<-m.begin
	for asleep := m.table.all(); m.why == nil; {
		// Not all at once: they would keep this goroutine from its work.
		n := min(len(asleep), fd.MaxFiles)
		for _, c := range asleep[:n] {
			c.wake()
		}
		asleep = asleep[n:]
		if o := m.next(len(asleep) > 0); o != nil {
			m.why = m.hand(m.collect(o))
		}
	}
	m.table.mover.CompareAndSwap(m, nil) // answers say Connection: close from here on
	if m.held != nil {
		m.held.settle(m.why)
	}
	if !errors.Is(m.why, errStopMoving) {
		m.log.Warn("no more connections are moved; their clients are asked to reconnect", "error", m.why)
	}
}

// next waits for an offer, and if there are more connections to wake, not for long.
func (m *mover) next(more bool) (o *offer) {
	if m.held != nil {
		o, m.held = m.held, nil
		return o
	}
	var soon <-chan time.Time
	if more {
		soon = time.After(time.Millisecond)
	}
	select {
	case o = <-m.offers:
	case <-m.quit:
		m.why = errStopMoving
	case <-soon:
	}
	return o
}

// collect adds the offers that wait to the first one, as many as go into a frame.
func (m *mover) collect(first *offer) []*offer {
	batch, size := []*offer{first}, first.size()
	for len(batch) < min(fd.MaxFiles, m.room) {
		select {
		case o := <-m.offers:
			if size += o.size(); size > maxBatch {
				m.held = o
				return batch
			}
			batch = append(batch, o)
		default:
			return batch
		}
	}
	return batch
}

// hand sends a batch and answers each of it. An error is the end of moving.
func (m *mover) hand(batch []*offer) error {
	answers := make([]error, len(batch))
	var end error
	if m.room <= 0 {
		fill(answers, errNoRoom)
		m.noteFull()
	} else if taken, err := m.exchange(batch); err != nil {
		fill(answers, err)
		if end = err; errors.Is(err, errNoAnswer) {
			end, m.unsure = errStopMoving, true
			m.log.Warn("the new process has not answered for connections; they are closed here", "count", len(batch))
		}
	} else {
		m.room = taken.Room
		for _, r := range taken.Refused {
			if r.Conn >= 0 && r.Conn < len(answers) {
				answers[r.Conn] = errors.New(r.Reason)
			}
		}
	}
	m.count(answers)
	for i, o := range batch {
		o.settle(answers[i])
	}
	return end
}

func (m *mover) noteFull() {
	if !m.full {
		m.full = true
		m.log.Warn("the new process has no descriptors left for more connections; the rest stays and is asked to reconnect")
	}
}

func (m *mover) count(answers []error) {
	m.table.mu.Lock()
	defer m.table.mu.Unlock()
	for _, err := range answers {
		switch {
		case err == nil:
			m.table.ledger.Moved++
		case !errors.Is(err, errNoAnswer):
			m.table.ledger.Refused++
		}
	}
}

func fill(answers []error, err error) {
	for i := range answers {
		answers[i] = err
	}
}

// exchange sends a batch and waits for the answer.
func (m *mover) exchange(batch []*offer) (taken wire.TakenMsg, err error) {
	msg := wire.OfferMsg{Conns: make([]wire.Conn, 0, len(batch))}
	files := make([]int, 0, len(batch))
	for _, o := range batch {
		msg.Conns = append(msg.Conns, o.Conn)
		files = append(files, o.s)
	}
	b, err := wire.Append(nil, wire.Offer, msg)
	if err != nil {
		return taken, err
	}
	if err := fd.Send(m.ctl, b, files); err != nil {
		return taken, m.failed(err)
	}
	if err := m.awaitAnswer(); err != nil {
		return taken, err
	}
	f, err := wire.Read(m.ctl)
	if err != nil {
		return taken, m.failed(err)
	}
	if f.Type != wire.Taken {
		err = fmt.Errorf("a %v frame instead of taken", f.Type)
	} else {
		err = f.Decode(&taken)
	}
	if err != nil {
		m.log.Error("the new process is not understood any more; what it was offered last is given up", "error", err)
		return taken, errNoAnswer
	}
	return taken, nil
}

// awaitAnswer returns when there is an answer to read. As long as the new process
// lives it may still take what it was offered: there is no other limit than the
// drain's.
func (m *mover) awaitAnswer() error {
	rc, err := m.ctl.SyscallConn()
	if err != nil {
		return err
	}
	for {
		_ = m.ctl.SetReadDeadline(time.Now().Add(answerPoll))
		if isClosed(m.quit) && !fd.Pending(rc) {
			return errNoAnswer
		}
		n, err := fd.Await(rc)
		switch {
		case n > 0:
			_ = m.ctl.SetReadDeadline(time.Now().Add(parentWait)) // it comes in one piece
			return nil
		case err == nil:
			return errTakerGone
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return m.failed(err)
		case !m.heir.lives():
			return errTakerGone
		}
	}
}

// failed says what a failure of the control socket means.
func (m *mover) failed(err error) error {
	if isClosed(m.quit) {
		return errNoAnswer
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return errTakerGone
	}
	return fmt.Errorf("control socket: %w", err)
}

// stop ends it. An offer that has no answer then may have been taken or not. Until
// the moving begins the control socket is for commit alone.
func (m *mover) stop() {
	<-m.begin
	m.once.Do(func() {
		close(m.quit)
		_ = m.ctl.SetDeadline(longAgo)
	})
	<-m.done
}

// settle is the end of a drain: the new process hears how many have moved.
func (m *mover) settle() {
	m.stop()
	if m.unsure || !errors.Is(m.why, errStopMoving) {
		return
	}
	m.table.mu.Lock()
	moved := m.table.ledger.Moved
	m.table.mu.Unlock()
	_ = m.ctl.SetDeadline(time.Now().Add(answerPoll))
	_ = wire.Write(m.ctl, wire.Moved, wire.MovedMsg{Moved: moved})
}
