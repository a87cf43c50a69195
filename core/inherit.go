package core

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"github.com/gracex-go/gracex/core/internal/activation"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// inherited is one listener that came from the old process and has not been
// claimed yet. Its descriptor becomes the claimer's.
type inherited struct {
	net.Listener
	s       int    // the descriptor it was made of, close-on-exec
	index   int    // in Welcome
	network string // as the old process's Listen was called; "" when it did not say
	address string
	foreign bool   // a service manager has opened it, and owns its path
	name    string // what that calls it; "" once it was claimed
}

// inheritance is what an upgrade handed to this process.
type inheritance struct {
	listeners  []*inherited
	generation int
	parent     *parent             // nil when no upgrade started this process
	useless    []activation.Socket // that are no listeners
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
		return h, h.takeActivated(st)
	}
	if errors.Is(st.err, errNoFlag) {
		return nil, because(ErrNotInherited, st.err)
	}
	if st.err != nil {
		return nil, notInherited(st.err)
	}
	var welcome wire.WelcomeMsg
	if st.control >= 0 {
		ctl, err := fd.Conn(st.control)
		if err != nil {
			return nil, because(ErrNotInherited, fmt.Errorf("control socket: %w", err))
		}
		h.parent = newParent(ctl)
		if welcome, err = h.parent.welcome(); err != nil {
			_ = ctl.Close()
			return nil, because(ErrNotInherited, fmt.Errorf("control socket: %w", err))
		}
		h.generation = welcome.Generation
		if got := st.last - fd.First; got != len(welcome.Listeners) {
			return nil, fmt.Errorf("%w: the old process names %d listeners and passed %d", ErrNotInherited, len(welcome.Listeners), got)
		}
	} else {
		h.parent = newParent(nil)
		h.generation = 1
	}
	if err := h.open(st.last, welcome.Listeners); err != nil {
		return nil, notInherited(err)
	}
	return h, nil
}

// open makes listeners of the descriptors up to last. words name them; nil for none.
func (h *inheritance) open(last int, words []wire.Listener) error {
	for s := fd.First; s < last; s++ {
		in := &inherited{s: s, index: s - fd.First}
		if words != nil {
			l := words[s-fd.First]
			in.network, in.address, in.foreign, in.name = l.Network, l.Address, l.Foreign, l.Name
		}
		if err := in.open(); err != nil {
			h.closeUnclaimed()
			return err
		}
		h.listeners = append(h.listeners, in)
	}
	return nil
}

// takeKept takes what a supervisor has kept from the worker before.
func (h *inheritance) takeKept(st startup) error {
	welcome, err := st.link.welcome()
	if err == nil && st.last-fd.First != len(welcome.Listeners) {
		err = fmt.Errorf("it names %d listeners and passed %d", len(welcome.Listeners), st.last-fd.First)
	}
	if err == nil {
		h.generation = welcome.Generation
		err = h.open(st.last, welcome.Listeners)
	}
	if err != nil {
		return because(ErrNotInherited, fmt.Errorf("supervisor (pid %d): %w", st.link.pid(), err))
	}
	return nil
}

// takeActivated takes what a service manager has opened for this process.
func (h *inheritance) takeActivated(st startup) error {
	for _, a := range st.activated {
		if !a.Listens {
			h.useless = append(h.useless, a)
			continue
		}
		in := &inherited{s: a.FD, index: len(h.listeners), foreign: true, name: a.Name}
		if err := in.open(); err != nil {
			h.closeUnclaimed()
			return because(ErrNotInherited, fmt.Errorf("%s: %w", activation.EnvFDs, err))
		}
		h.listeners = append(h.listeners, in)
	}
	return nil
}

func notInherited(err error) error {
	return because(ErrNotInherited, fmt.Errorf("%w; %s is set by the old process and not to be given by hand", err, gracefulFlag))
}

func (in *inherited) open() error {
	if err := fd.CheckListener(in.s); err != nil {
		return err
	}
	fd.CloseOnExec(in.s)
	ln, err := fd.Listener(in.s)
	if err != nil {
		return fmt.Errorf("descriptor %d: %w", in.s, err)
	}
	in.Listener = ln
	return nil
}

// claimOr makes a listener of the inherited one for (network, address), or of what
// open opens.
func (h *inheritance) claimOr(open func() (net.Listener, error), network, address string) (*listener, error) {
	in := h.claim(network, address)
	if in != nil {
		l, err := newListener(in.Listener, in.s, network, address)
		if err != nil {
			return nil, listenError(network, address, err)
		}
		l.inherited = true
		if l.foreign = in.foreign; l.foreign {
			l.path = nil
		}
		return l, nil
	}
	ln, err := open()
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

// listenError names the address, which net's own error does if it got that far.
func listenError(network, address string, err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "listen" && op.Addr != nil {
		return fmt.Errorf("%s%w", prefix, err)
	}
	return wrap("listen "+network+" "+address, err)
}

// claim returns the inherited listener for (network, address) and takes it out,
// or nil: first the one that the old process opened with the very same words
// (":0" finds its port again), then one that a service manager calls as address says, then
// one that is bound to the same address.
func (h *inheritance) claim(network, address string) *inherited {
	for i, in := range h.listeners {
		if in.network == network && in.address == address {
			return h.take(i)
		}
	}
	for i, in := range h.listeners {
		if in.called(network, address) {
			return h.take(i)
		}
	}
	for i, in := range h.listeners {
		if in.boundTo(network, address) {
			return h.take(i)
		}
	}
	return nil
}

func (h *inheritance) take(i int) *inherited {
	in := h.listeners[i]
	h.listeners = append(h.listeners[:i:i], h.listeners[i+1:]...)
	return in
}

// closeUnclaimed closes what nobody claimed. A unix socket's path is left: the
// old process may need it yet.
func (h *inheritance) closeUnclaimed() {
	for _, in := range h.listeners {
		if ul, ok := in.Listener.(*net.UnixListener); ok {
			ul.SetUnlinkOnClose(false)
		}
		_ = in.Listener.Close()
		_ = fd.Close(in.s)
	}
	h.listeners = nil
}

// called reports whether a service manager's name for the socket, or for ListenFD the
// number of its descriptor, is the address.
func (in *inherited) called(network, address string) bool {
	switch {
	case !in.foreign || in.network != "":
		return false
	case network == networkFD:
		return strconv.Itoa(in.s) == address
	}
	return in.name != "" && in.name == address
}

// boundTo reports whether the listener is bound to what Listen(network, address)
// would bind. ":8080" is every address of the machine in both families; "tcp4"
// and "tcp6" with no host are one family each (net.Listen).
func (in *inherited) boundTo(network, address string) bool {
	switch at := in.Addr().(type) {
	case *net.UnixAddr:
		return network == "unix" && samePath(at.Name, address)
	case *net.TCPAddr:
		want, err := net.ResolveTCPAddr(network, address)
		if err != nil || want.Port != at.Port && !(want.Port == 0 && in.network == "" && !in.foreign) {
			// The plain protocol has one listener and no words for it: for a
			// port that the system chose it is the one.
			return false
		}
		if want.IP != nil && !want.IP.IsUnspecified() {
			return want.IP.Equal(at.IP)
		}
		if !at.IP.IsUnspecified() {
			return false
		}
		v4 := at.IP.To4() != nil
		switch network {
		case "tcp4":
			return v4
		case "tcp6":
			return !v4 && (in.network == "tcp6" || in.network == "")
		}
		// A system without IPv6 binds 0.0.0.0 for "tcp".
		return in.network == "tcp" || in.network == ""
	}
	return false
}

func samePath(a, b string) bool {
	if a == b {
		return true
	}
	if a == "" || b == "" || a[0] == '@' || b[0] == '@' { // abstract, Linux
		return false
	}
	fa, err := filepath.Abs(a)
	if err != nil {
		return false
	}
	fb, err := filepath.Abs(b)
	return err == nil && fa == fb
}
