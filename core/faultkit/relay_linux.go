package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// readFrame reads one frame with the descriptors that come with it. The frame is
// returned as it was on the wire, too.
func readFrame(in *fd.Receiver) (f wire.Frame, raw []byte, files []int, err error) {
	var b bytes.Buffer
	f, err = wire.Read(io.TeeReader(in, &b))
	return f, b.Bytes(), in.Take(), err
}

// relay passes on what comes from one side, until it hangs up or is not understood.
// The other side is left with a closed socket then. To the old process this one is the
// new process: it gets what signals there are, and passes each of them on once.
func (s *shim) relay(from side, src, dst *net.UnixConn) {
	defer func() { _ = dst.Close() }()
	in := fd.NewReceiver(src)
	for {
		f, raw, files, err := readFrame(in)
		if err == nil && f.Type == wire.Hello {
			raw, err = wire.Append(nil, wire.Hello, wire.HelloMsg{PID: os.Getpid()})
		}
		if err == nil {
			err = s.pass(report{At: atRead, Shim: os.Getpid(), Child: s.child, From: from, Frame: f.Type, Probation: probation(f)}, dst, raw, files)
		}
		for _, file := range files {
			_ = fd.Close(file)
		}
		if err != nil {
			_, _ = s.link.ask(report{At: atEnd, From: from, Why: err.Error()})
			return
		}
	}
}

// pass does with a frame what the kit wants.
func (s *shim) pass(r report, dst *net.UnixConn, raw []byte, files []int) error {
	do, err := s.link.ask(r)
	if err != nil {
		return err
	}
	switch do.Do {
	case doGarbage:
		return fd.Send(dst, bytes.Repeat([]byte("?"), len(raw)), files)
	case doTruncate:
		_ = fd.Send(dst, raw[:len(raw)/2], files)
		s.cut()
	case doCut:
		s.cut()
	default:
		if err := fd.Send(dst, raw, files); err != nil {
			return err
		}
		r.At = atPassed
		if do, err = s.link.ask(r); err != nil || do.Do != doCut {
			return err
		}
		s.cut()
	}
	return net.ErrClosed
}

// cut closes both control sockets.
func (s *shim) cut() {
	_ = s.outer.Close()
	_ = s.inner.Close()
}

// probation is how long the old process can take back what a frame says: a commit.
func probation(f wire.Frame) time.Duration {
	var msg wire.CommitMsg
	if f.Type != wire.Commit || f.Decode(&msg) != nil {
		return 0
	}
	return msg.Probation()
}
