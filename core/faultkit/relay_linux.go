package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// serve carries a session out for its shim, which ends when the program has.
func (s *session) serve(link *net.UnixConn) {
	defer func() { _ = link.Close() }()
	defer s.cut()
	in := fd.NewReceiver(link)
	reports := json.NewDecoder(in)
	if err := s.start(link, in, reports); err != nil {
		s.end("new", err)
		return
	}
	var sides sync.WaitGroup
	sides.Go(func() { s.relay("old", s.outer, s.inner) })
	sides.Go(func() { s.relay("new", s.inner, s.outer) })
	go func() {
		sides.Wait()
		_ = json.NewEncoder(link).Encode(allPassed) // the shim may have ended
	}()
	_ = reports.Decode(new(int)) // that is the shim's end
	s.cut()
	sides.Wait()
}

// start takes the handover socket from the shim, and has it start the program with another one. The welcome is in
// there already: a value of the variable that names another process than the parent is believed if one waits.
func (s *session) start(link *net.UnixConn, in *fd.Receiver, reports *json.Decoder) error {
	shim, child := 0, 0
	if err := reports.Decode(&shim); err != nil {
		return err
	}
	files := in.Take()
	if len(files) != 1 {
		return errors.New("the shim has no handover socket")
	}
	outer, err := fd.Conn(files[0])
	if err != nil {
		return err
	}
	inner, end, err := fd.Pair()
	if err != nil {
		return errors.Join(err, outer.Close())
	}
	defer func() { _ = fd.Close(end) }()
	s.outer, _ = outer.(*net.UnixConn)
	s.inner, _ = inner.(*net.UnixConn)
	if s.outer == nil || s.inner == nil {
		return errors.Join(errors.New("the handover socket is no unix socket"), outer.Close())
	}
	s.note(func(h *heard) { h.shim = shim })
	f, raw, files, err := readFrame(fd.NewReceiver(s.outer))
	if err == nil && f.Type != wire.Welcome {
		err = fmt.Errorf("it says %v", f.Type)
	}
	if err == nil {
		err = fd.Send(s.inner, raw, files)
	}
	closeAll(files)
	if err != nil {
		return fmt.Errorf("no welcome from the old process: %w", err)
	}
	s.askAt(stepStart)
	limit := uint64(0)
	s.note(func(*heard) { limit = s.desk.files })
	err = fd.Send(link, fmt.Appendln(nil, limit), []int{end})
	if err == nil {
		err = reports.Decode(&child)
	}
	s.note(func(h *heard) { h.child = child })
	return err
}

// readFrame reads one frame with the descriptors that come with it. The frame is returned as it was on the wire, too.
func readFrame(in *fd.Receiver) (f wire.Frame, raw []byte, files []int, err error) {
	var b bytes.Buffer
	f, err = wire.Read(io.TeeReader(in, &b))
	return f, b.Bytes(), in.Take(), err
}

// relay passes on what comes from one side, until it hangs up or is not understood.
// The other side is left with a closed socket then. To the old process the shim is the
// new process: it gets what signals there are, and passes each of them on once.
func (s *session) relay(from string, src, dst *net.UnixConn) {
	defer func() { _ = dst.Close() }()
	in := fd.NewReceiver(src)
	for {
		f, raw, files, err := readFrame(in)
		if err == nil && f.Type == wire.Hello {
			raw, err = wire.Append(nil, wire.Hello, wire.HelloMsg{PID: s.look().shim})
		}
		if err == nil {
			err = s.pass(from, f, dst, raw, files)
		}
		closeAll(files)
		if err != nil {
			s.end(from, err)
			return
		}
	}
}

// pass does with a frame what the trial wants.
func (s *session) pass(from string, f wire.Frame, dst *net.UnixConn, raw []byte, files []int) error {
	switch s.ask(func() step { return s.hear(from, f) }) {
	case doGarbage:
		return fd.Send(dst, bytes.Repeat([]byte("?"), len(raw)), files)
	case doTruncate:
		_ = fd.Send(dst, raw[:len(raw)/2], files)
	case doCut:
	default:
		if err := fd.Send(dst, raw, files); err != nil {
			return err
		}
		if f.Type != wire.Confirmed || s.askAt(stepDrain) != doCut {
			return nil
		}
	}
	s.cut()
	return net.ErrClosed
}

// cut closes both handover sockets.
func (s *session) cut() {
	for _, c := range []*net.UnixConn{s.outer, s.inner} {
		if c != nil {
			_ = c.Close()
		}
	}
}

func closeAll(files []int) {
	for _, file := range files {
		_ = fd.Close(file)
	}
}
