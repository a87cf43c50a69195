package core

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
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

// Listener returns the listener for (network, address) that the old process handed over, as Listen
// does, but opens none: the error is fs.ErrNotExist if there is none.
func (u *Upgrader) Listener(network, address string) (net.Listener, error) {
	return u.listen(network, address, func() (net.Listener, error) { return nil, errNotPassed })
}

// Unclaimed returns the addresses of the listeners and datagram sockets that were handed over and that nobody has
// claimed yet. Ready closes them. It is for programs whose servers are started one by one, and which have to know when all
// are there.
func (u *Upgrader) Unclaimed() (addrs []net.Addr) {
	u.inherited.mu.Lock()
	defer u.inherited.mu.Unlock()
	for _, in := range u.inherited.unclaimed {
		if at := in.addr(); at != nil && in.Network != networkControl {
			addrs = append(addrs, at)
		}
	}
	return addrs
}

// AddListener is Listen for a listener that the program has opened itself, with options of its own: the next generation
// finds it by Listener, with the network and the address of its Addr. Use what it returns instead.
func (u *Upgrader) AddListener(ln net.Listener) (net.Listener, error) {
	if _, ok := ln.(syscall.Conn); !ok {
		return nil, wrap("add listener", fmt.Errorf("a %T shows no descriptor; add the listener that it wraps", ln))
	}
	return u.adopt(ln)
}

// AddConn has the next generation find the connection by Conn with this name. Both processes have
// it from its start on, so they have to agree on who reads and writes: this one until Draining is closed, say. What is
// passed on is a duplicate; closing c does not end the connection before DropConn. A name that is given again is the new one's. For
// connections from clients, HandOff moves them one by one with their state.
func (u *Upgrader) AddConn(name string, c net.Conn) error { return u.add(wire.KindConn, name, c) }

// Conn returns the connection that the old process has added by this name. It is passed on
// to the next generation, too, until DropConn. The error is fs.ErrNotExist if there is none.
func (u *Upgrader) Conn(name string) (net.Conn, error) {
	var c net.Conn
	err := u.take(wire.KindConn, name, func(s int) (err error) { c, err = fd.Adopt(s); return err })
	if err != nil && c != nil {
		_, c = c.Close(), nil // this process stops
	}
	return c, err
}

// DropConn undoes AddConn: the next generation does not get the connection.
func (u *Upgrader) DropConn(name string) { u.drop(wire.KindConn, name) }

// AddFile has the next generation find the file by File with this name: a lock (flock(2) goes with
// it), a pipe, a device. What is passed on is a duplicate, so f may be closed; its offset is one for all processes. A name that is given
// again is the new one's.
func (u *Upgrader) AddFile(name string, f *os.File) error { return u.add(wire.KindFile, name, f) }

// File returns the file that the old process has added by this name. It is passed on to the
// next generation, too, until DropFile. The error is fs.ErrNotExist if there is none.
func (u *Upgrader) File(name string) (*os.File, error) {
	var f *os.File
	err := u.take(wire.KindFile, name, func(s int) error { f = os.NewFile(uintptr(s), name); return nil })
	if err != nil && f != nil {
		_, f = f.Close(), nil // this process stops
	}
	return f, err
}

// DropFile undoes AddFile: the next generation does not get the file.
func (u *Upgrader) DropFile(name string) { u.drop(wire.KindFile, name) }

// add keeps a duplicate of what has a descriptor.
func (u *Upgrader) add(kind wire.Kind, name string, v any) error {
	fail := func(err error) error { return wrap(fmt.Sprintf("add %v %q", kind, name), err) }
	if name == "" {
		return fail(errors.New("it needs a name"))
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
