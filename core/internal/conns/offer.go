package conns

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// offer is one connection on its way.
type offer struct {
	wire.Conn
	left   func()     // called before the answer if it has moved, or may have; nil for nothing
	s      int        // its descriptor, open until there is an answer
	mark   int        // fd.MarkOf that, when it was offered
	answer chan error // room for one; nil: it has moved, or may have
	parked *parked    // that gets the answer instead; or nil
	secret []byte     // the state of its TLS; nil if it has none
	by     *Mover     // of a parked one
}

// Format keeps the secret out of any text.
func (*offer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[offer of a connection]") }

// settle answers the offer.
func (o *offer) settle(err error) {
	if errors.Is(err, peer.ErrNoAnswer) {
		err = nil
	}
	if o.parked != nil {
		o.parked.settle(o.by, err)
		return
	}
	if err == nil && o.left != nil {
		o.left()
	}
	o.answer <- err
}

// maxBatch bounds the encoded size of a batch, in bytes.
const maxBatch = wire.MaxPayload - 1<<10

// size is an upper bound of what the offer takes in a frame: base64, and JSON that escapes every byte.
func (o *offer) size() int {
	n := 200 + 6*len(o.Name) + len(o.State)*4/3 + 4 + len(o.secret)
	if o.Listener != nil {
		n += 6 * (len(o.Listener.Network) + len(o.Listener.Address))
	}
	return n
}

// Leave moves c to the next generation. On an error c stays, with nothing read from it; tls13.ErrBusy says that it can
// move when something has been read. With TLS nothing is written from here on either, until it is sure that it stays.
func (m *Mover) Leave(c *Conn, what wire.Conn) error {
	sealed, err := c.seal()
	if err != nil {
		return err
	}
	o := &offer{Conn: what, left: func() { c.closing.Store(uint32(closedMoved)) }}
	if sealed == nil {
		return m.offer(c.socket, o)
	}
	o.secret = sealed.State()
	o.TLS = len(o.secret)
	if err = m.offer(c.socket, o); err == nil {
		sealed.Gone()
	} else {
		sealed.Refused()
	}
	return err
}

// Move moves a connection that is in no table.
func (m *Mover) Move(c syscall.Conn, what wire.Conn) error {
	return m.offer(c.SyscallConn, &offer{Conn: what})
}

// offer offers a connection and returns the answer. Control keeps the descriptor
// open, and its number from being another one's, even if the connection is closed meanwhile.
func (m *Mover) offer(socket func() (syscall.RawConn, error), o *offer) error {
	rc, err := socket()
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

// hand sends a batch and answers each of it. An error is the end of moving.
func (m *Mover) hand(batch []*offer) error {
	answers := make([]error, len(batch))
	var end error
	if m.room <= 0 {
		fill(answers, ErrNoRoom)
		m.noteFull()
	} else if taken, err := m.exchangeAgain(batch); err != nil {
		fill(answers, err)
		seeTaken(batch, answers)
		if end = err; errors.Is(err, peer.ErrNoAnswer) {
			end, m.unsure = peer.ErrQuit, true
			m.log.Warn("the new process has not answered for connections; they are closed here", "count", len(batch))
		}
	} else {
		m.room, m.busy = taken.Room, taken.Busy
		for _, r := range taken.Refused {
			if r.Conn >= 0 && r.Conn < len(answers) {
				answers[r.Conn] = refusal(r.Reason)
			}
		}
	}
	m.count(batch, answers)
	for i, o := range batch {
		o.settle(answers[i])
	}
	return end
}

// seeTaken finds out by their marks which of the connections the new process has, that could not say so. The others stay,
// but for those over TLS: as long as it lives nobody has them. It may stand still, and mark them later, and then both would
// encrypt.
func seeTaken(batch []*offer, answers []error) {
	for i, o := range batch {
		lives, taken := errors.Is(answers[i], peer.ErrCut), o.mark >= 0 && fd.MarkOf(o.s) != o.mark
		switch {
		case taken && (lives || o.secret != nil): // over TLS it has encrypted, also if it is no more
			answers[i] = nil
		case lives && o.secret != nil:
			answers[i] = peer.ErrNoAnswer
		}
	}
}

// NoteTaken marks a connection for the process that has offered it: this one has it, and has said so.
func NoteTaken(nc net.Conn) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	if rc, err := sc.SyscallConn(); err == nil {
		_ = rc.Control(func(s uintptr) { fd.Mark(int(s)) })
	}
}

func (m *Mover) noteFull() {
	if !m.full {
		m.full = true
		m.log.Warn("the new process has no descriptors left for more connections; the rest stays and is asked to reconnect")
	}
}

func (m *Mover) count(batch []*offer, answers []error) {
	m.table.mu.Lock()
	defer m.table.mu.Unlock()
	for i, err := range answers {
		switch {
		case err == nil:
			m.moved++
			m.table.counts.Moved.note(batch[i].Conn)
		case !errors.Is(err, peer.ErrNoAnswer):
			m.table.counts.Refused++
		}
	}
}

func fill(answers []error, err error) {
	for i := range answers {
		answers[i] = err
	}
}

// exchangeAgain is exchange, until a process has answered that goes on listening to this one.
func (m *Mover) exchangeAgain(batch []*offer) (taken wire.TakenMsg, err error) {
	for taken.Again = true; err == nil && taken.Again; {
		taken, err = m.exchange(batch)
	}
	return taken, err
}

// exchange sends a batch and waits for the answer.
func (m *Mover) exchange(batch []*offer) (taken wire.TakenMsg, err error) {
	msg := wire.OfferMsg{Conns: make([]wire.Conn, 0, len(batch))}
	files := make([]int, 0, len(batch))
	var secrets [][]byte
	for _, o := range batch {
		msg.Conns = append(msg.Conns, o.Conn)
		files = append(files, o.s)
		o.mark = fd.MarkOf(o.s)
		if o.TLS > 0 {
			secrets = append(secrets, o.secret)
		}
	}
	b, err := wire.AppendOffer(nil, msg, secrets)
	if len(secrets) > 0 {
		defer clear(b)
	}
	if err != nil {
		return taken, err
	}
	f, err := m.to.Exchange(b, files, m.quit, m.final.Load)
	if err == nil {
		err = f.Decode(&taken)
	}
	if errors.Is(err, wire.ErrGarbage) {
		m.log.Error("the new process is not understood any more; what it was offered last is given up", "error", err)
		err = peer.ErrNoAnswer
	}
	return taken, err
}
