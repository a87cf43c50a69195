package core

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/text"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// namedFile is a duplicate of a connection or a file of the program's, which the next generation
// gets under its name.
type namedFile struct {
	say wire.Listener
	dup int
}

func (s *namedFile) duplicate() int          { return s.dup }
func (s *namedFile) describe() wire.Listener { return s.say }
func (s *namedFile) rank() int               { return rankOther }

// errNotPassed: the old process has no such thing.
var errNotPassed = fmt.Errorf("the old process has passed none: %w", fs.ErrNotExist)

// Listener is like Listen but opens no listener. The error is fs.ErrNotExist if the old process
// passed no listener for (network, address).
func (u *Upgrader) Listener(network, address string) (net.Listener, error) {
	return u.listen(network, address, func(*inheritance) (net.Listener, error) { return nil, errNotPassed })
}

// Unclaimed returns the addresses of the listeners and datagram sockets that the old process
// passed and that the program has not claimed yet. Ready closes them. Programs that start their
// servers one by one use it to learn whether all are there.
func (u *Upgrader) Unclaimed() (addrs []net.Addr) {
	u.inherited.mu.Lock()
	defer u.inherited.mu.Unlock()
	for _, in := range u.inherited.unclaimed {
		if at := in.addr(); at != nil && in.Network != networkControl && !in.Outside {
			addrs = append(addrs, at)
		}
	}
	return addrs
}

// AddListener is like Listen for a listener that the program has opened itself, with options of
// its own. The next generation finds it by Listener, with the network and the address of ln's
// Addr. Use the returned listener instead of ln.
func (u *Upgrader) AddListener(ln net.Listener) (net.Listener, error) {
	if _, ok := ln.(syscall.Conn); !ok {
		return nil, wrap("add listener", fmt.Errorf("a %T shows no descriptor; add the listener that it wraps", ln))
	}
	return u.adopt(ln)
}

// AddConn passes a connection to the next generation, which gets it by Conn with this name of 1 to 255 bytes. Both
// processes have the connection from the start of the new one, so the program must decide which
// of them reads and writes. For example, this one does until Draining is closed.
//
// A duplicate is passed on, so closing c does not end the connection before DropConn. A second
// call with the same name replaces the first connection. Connections from clients move one by
// one, with their state, by Handoff.
func (u *Upgrader) AddConn(name string, c net.Conn) error { return u.add(wire.KindConn, name, c) }

// Conn returns the connection that the old process added under this name. The next generation
// gets it too, until DropConn. The error is fs.ErrNotExist if the old process passed no such
// connection.
func (u *Upgrader) Conn(name string) (net.Conn, error) {
	var c net.Conn
	err := u.take(wire.KindConn, name, func(s int) (err error) { c, err = fd.Adopt(s); return err })
	if err != nil && c != nil {
		_, c = c.Close(), nil // this process stops
	}
	return c, err
}

// DropConn undoes AddConn. The next generation does not get the connection.
func (u *Upgrader) DropConn(name string) { u.drop(wire.KindConn, name) }

// AddFile passes a file to the next generation, which gets it by File with this name of 1 to 255 bytes. It can be a
// lock (a flock(2) lock is passed with it), a pipe or a device. A duplicate is passed on, so f
// may be closed. All processes share its offset. A second call with the same name replaces the
// first file.
func (u *Upgrader) AddFile(name string, f *os.File) error { return u.add(wire.KindFile, name, f) }

// File returns the file that the old process added under this name. The next generation gets it
// too, until DropFile. The error is fs.ErrNotExist if the old process passed no such file.
func (u *Upgrader) File(name string) (*os.File, error) {
	var f *os.File
	err := u.take(wire.KindFile, name, func(s int) error { f = os.NewFile(uintptr(s), name); return nil })
	if err != nil && f != nil {
		_, f = f.Close(), nil // this process stops
	}
	return f, err
}

// DropFile undoes AddFile. The next generation does not get the file.
func (u *Upgrader) DropFile(name string) { u.drop(wire.KindFile, name) }

// add keeps a duplicate of what has a descriptor.
func (u *Upgrader) add(kind wire.Kind, name string, v any) error {
	fail := func(err error) error { return wrap(fmt.Sprintf("add %v %q", kind, name), err) }
	if name == "" {
		return fail(errors.New("it needs a name"))
	}
	if len(name) > text.MaxName {
		return wrap(fmt.Sprintf("add %v", kind), fmt.Errorf("its name has %d bytes, and %d at most", len(name), text.MaxName))
	}
	sc, ok := v.(syscall.Conn)
	if !ok {
		return fail(fmt.Errorf("a %T shows no descriptor", v))
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return fail(err)
	}
	dup, err := fd.Dup(rc)
	if err != nil {
		return fail(err)
	}
	return u.keep(&namedFile{wire.Listener{Kind: kind, Address: name}, dup})
}

// keep puts it in the place of what has the name.
func (u *Upgrader) keep(s *namedFile) error {
	u.drop(s.say.Kind, s.say.Address)
	if !u.passing.add(s) {
		_ = fd.Close(s.dup)
		return ErrStopped
	}
	u.keepListeners()
	return nil
}

// take opens a duplicate of what the old process has passed.
func (u *Upgrader) take(kind wire.Kind, name string, open func(s int) error) error {
	u.inherited.mu.Lock()
	in := u.inherited.claimNamed(kind, name)
	u.inherited.mu.Unlock()
	err := errNotPassed
	if in != nil {
		var dup int
		if dup, err = fd.DupOf(in.s); err == nil {
			err = open(dup)
		}
		if err == nil {
			err = u.keep(&namedFile{wire.Listener{Kind: kind, Address: name}, in.s})
		}
	}
	if err != nil {
		return wrap(fmt.Sprintf("%v %q", kind, name), err)
	}
	return nil
}

func (u *Upgrader) drop(kind wire.Kind, name string) {
	for _, s := range only[*namedFile](u.passing.all()) {
		if s.say.Kind == kind && s.say.Address == name && u.passing.remove(s) {
			_ = fd.Close(s.dup)
			u.keepListeners()
		}
	}
}

// forget closes the duplicates.
func forget(list []*namedFile) {
	for _, s := range list {
		_ = fd.Close(s.dup)
	}
}
