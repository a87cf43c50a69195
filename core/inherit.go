package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/foreign"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// inherited is one descriptor that came from the old process and has not been
// claimed yet. It becomes the claimer's.
type inherited struct {
	wire.Listener // as the old process opened it; the network is "" when it did not say

	s     int // the descriptor, close-on-exec
	index int // in Welcome

	// What it is, by its kind; nil for the others.
	ln net.Listener
	pc net.PacketConn
}

// inheritance is what was handed to this process.
type inheritance struct {
	mu         sync.Mutex // held while unclaimed is used
	unclaimed  []*inherited
	words      []wire.Listener // of all that were passed, claimed or not
	generation int
	old        *peer.Old       // nil when this process replaces no other
	totals     json.RawMessage // what the supervisor has heard of the processes before
	working    []int           // processes whose background work runs, by the supervisor's word
	committed  atomic.Bool     // no old process depends on it any more
}

// inherit takes what boot found. It is called once in the life of a process.
func inherit(st startup) (*inheritance, error) {
	h := &inheritance{}
	if !st.graceful {
		switch {
		case st.err != nil:
			return nil, because(ErrNotInherited, st.err)
		case st.kept:
			return h, h.takeKept(st)
		}
		return h, h.takeStart(st.start)
	}
	if errors.Is(st.err, errNoFlag) || errors.Is(st.err, errFewerRights) {
		return nil, because(ErrNotInherited, st.err)
	}
	if st.err != nil {
		return nil, notInherited(st.err)
	}
	var welcome wire.WelcomeMsg
	if st.control >= 0 {
		ctl, err := fd.Conn(st.control)
		if err != nil {
			return nil, because(ErrNotInherited, fmt.Errorf("handover socket: %w", err))
		}
		h.old = peer.NewOld(ctl)
		h.old.Only = st.launch.Raised
		h.old.Supervisor = st.link.PID()
		if welcome, err = h.old.Welcome(); err != nil {
			_ = ctl.Close()
			return nil, because(ErrNotInherited, fmt.Errorf("handover socket: %w", err))
		}
		h.generation = welcome.Generation
		if got := len(st.files); got != len(welcome.Listeners) {
			return nil, fmt.Errorf("%w: the old process names %d listeners and passed %d", ErrNotInherited, len(welcome.Listeners), got)
		}
	} else {
		return h, h.takeStart(st.plain)
	}
	if err := h.open(welcome.Listeners, st.files); err != nil {
		return nil, notInherited(err)
	}
	return h, nil
}

// open takes the descriptors, which words name.
func (h *inheritance) open(words []wire.Listener, files []int) error {
	for i, l := range words {
		if err := h.take(&inherited{Listener: l, s: files[i]}); err != nil {
			return err
		}
	}
	return nil
}

// take takes one descriptor, or after an error closes all of them.
func (h *inheritance) take(in *inherited) error {
	in.index = len(h.unclaimed)
	if err := in.open(); err != nil {
		h.closeUnclaimed()
		return err
	}
	h.unclaimed = append(h.unclaimed, in)
	h.words = append(h.words, in.Listener)
	return nil
}

// takeKept takes what a supervisor has kept from the worker before.
func (h *inheritance) takeKept(st startup) error {
	h.generation, h.working, h.totals = st.welcome.Generation, st.welcome.Working, st.welcome.Totals
	var err error
	if got := len(st.files); got != len(st.welcome.Listeners) {
		err = fmt.Errorf("it names %d listeners and passed %d", len(st.welcome.Listeners), got)
	} else {
		err = h.open(st.welcome.Listeners, st.files)
	}
	if err != nil {
		return because(ErrNotInherited, fmt.Errorf("supervisor (pid %d): %w", st.link.PID(), err))
	}
	return nil
}

// takeStart takes what a program that is none of gracex's has passed.
func (h *inheritance) takeStart(start *foreign.Start) error {
	if start == nil {
		return nil
	}
	for _, x := range start.Sockets {
		in := &inherited{s: x.FD}
		in.Kind, in.Network, in.Address, in.Name, in.Foreign = x.Kind, x.Network, x.Address, x.Name, start.Owned
		err := h.take(in)
		if err == nil && !in.asSaid() {
			h.closeUnclaimed()
			err = fmt.Errorf("descriptor %d is said to be %s, and is bound to %v", in.s, in.Address, in.addr())
		}
		switch {
		case err != nil && start.Sign == spawn.GracefulFlag:
			return notInherited(err)
		case err != nil:
			return because(ErrNotInherited, fmt.Errorf("%s: %w", start.Sign, err))
		}
	}
	if start.Parent != nil {
		h.old = peer.NewOld(nil)
		h.old.Ways = *start.Parent
		h.generation = 1
	}
	return nil
}

func notInherited(err error) error {
	return because(ErrNotInherited, fmt.Errorf("%w; %s is set by the old process and not to be given by hand", err, spawn.GracefulFlag))
}

func (in *inherited) open() error {
	var err error
	switch in.Kind {
	case wire.KindListener:
		if err = fd.CheckListener(in.s); err == nil {
			in.ln, err = fd.Listener(in.s)
		}
	case wire.KindPacket:
		if err = fd.CheckPacket(in.s); err == nil {
			in.pc, err = fd.PacketConn(in.s)
		}
	default: // who claims it looks
		err = fd.CheckOpen(in.s)
	}
	if err != nil {
		return err
	}
	fd.CloseOnExec(in.s)
	return nil
}

// addr is the address that the socket is bound to, nil for what has none.
func (in *inherited) addr() net.Addr {
	switch {
	case in.ln != nil:
		return in.ln.Addr()
	case in.pc != nil:
		return in.pc.LocalAddr()
	}
	return nil
}

// where is that address in words, or the one that the old process has said.
func (in *inherited) where() string {
	if at := in.addr(); at != nil {
		return at.String()
	}
	return in.Address
}

// close closes what nobody has claimed. A unix socket's path is left: the old process may need
// it yet.
func (in *inherited) close() {
	if ul, ok := in.ln.(*net.UnixListener); ok {
		ul.SetUnlinkOnClose(false)
	}
	if in.ln != nil {
		_ = in.ln.Close()
	}
	if in.pc != nil {
		_ = in.pc.Close()
	}
	_ = fd.Close(in.s)
}

// opener opens a listener for which nothing fit was inherited.
type opener func(h *inheritance) (net.Listener, error)

// claimOr makes a listener of the inherited one for (network, address), or of what
// open opens.
func (h *inheritance) claimOr(open opener, network, address string) (*listener, error) {
	if in := h.claim(wire.KindListener, network, address); in != nil {
		l, err := h.listener(in, network, address)
		if err != nil {
			return nil, listenError(network, address, err)
		}
		return l, nil
	}
	ln, err := open(h)
	if err != nil {
		return nil, listenError(network, address, err)
	}
	l, err := newListener(ln, -1, network, address)
	if err != nil {
		_ = ln.Close()
		return nil, listenError(network, address, err)
	}
	return l, nil
}

// listener makes a listener of a claimed one.
func (h *inheritance) listener(in *inherited, network, address string) (*listener, error) {
	ln, err := h.withAsides(in)
	if err != nil {
		in.close()
		return nil, err
	}
	l, err := newListener(ln, in.s, network, address)
	if err != nil {
		in.close()
		return nil, err
	}
	l.inherited = true
	if l.foreign = in.Foreign; l.foreign {
		l.path = nil
	}
	return l, nil
}

// listenError names the address, which net's own error does if it got that far.
func listenError(network, address string, err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "listen" && op.Addr != nil {
		return fmt.Errorf("%s%w", prefix, err)
	}
	return wrap("listen "+network+" "+address, err)
}

// claim returns the inherited descriptor of the kind for (network, address) and takes it out,
// or nil: first the one that the old process opened with the very same words
// (":0" finds its port again), then one that a service manager calls as address says, then
// the one that is bound to the same address.
func (h *inheritance) claim(kind wire.Kind, network, address string) *inherited {
	best, rank := -1, 0
	for i, in := range h.unclaimed {
		if in.Kind != kind {
			continue
		}
		var r int
		switch {
		case in.Network == network && in.Address == address:
			r = rankSaid
		case in.called(network, address):
			r = rankCalled
		default:
			r = in.fits(network, address)
		}
		if r > rank {
			best, rank = i, r
		}
	}
	if best < 0 {
		return nil
	}
	return h.takeOut(best)
}

// claimNamed returns the inherited descriptor of the kind that has the name, and takes it out, or nil.
func (h *inheritance) claimNamed(kind wire.Kind, name string) *inherited {
	for i, in := range h.unclaimed {
		if in.Kind == kind && name != "" && (in.Address == name || in.Name == name) {
			return h.takeOut(i)
		}
	}
	return nil
}

func (h *inheritance) takeOut(i int) *inherited {
	in := h.unclaimed[i]
	h.unclaimed = append(h.unclaimed[:i:i], h.unclaimed[i+1:]...)
	return in
}

// called counts the listeners that the old process has opened by these words.
func (h *inheritance) called(at *wire.Listener) (n int) {
	for _, l := range h.words { // which nobody changes after inherit
		if l.Kind == wire.KindListener && l.Network == at.Network && l.Address == at.Address {
			n++
		}
	}
	return n
}

// closeUnclaimed closes what nobody claimed.
func (h *inheritance) closeUnclaimed() {
	for _, in := range h.unclaimed {
		in.close()
	}
	h.unclaimed = nil
}

// called reports whether a service manager's name for the socket, or for ListenFD the
// number of its descriptor, is the address.
func (in *inherited) called(network, address string) bool {
	switch {
	case !in.Foreign || in.Network != "":
		return false
	case network == networkFD:
		return strconv.Itoa(in.s) == address
	}
	return in.Name != "" && in.Name == address
}
