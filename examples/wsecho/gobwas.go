package main

import (
	"bytes"
	"compress/flate"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/gobwas/ws/wsutil"

	"github.com/gracex-go/gracex/core/wsmove"
)

// gobwas serves a WebSocket by github.com/gobwas/ws.
func gobwas(w http.ResponseWriter, r *http.Request) {
	s := wsmove.Move(r)
	deflate := wsflate.Extension{Parameters: wsflate.DefaultParameters}
	upgrader := ws.HTTPUpgrader{Negotiate: deflate.Negotiate}
	c, _, _, err := upgrader.Upgrade(r, w)
	if err != nil {
		if c != nil {
			c.Close() // hijacked before anything was checked; the client has its answer
		}
		return
	}
	defer c.Close()
	_, compresses := deflate.Accepted()
	serve(s, newGobwasSocket(c, compresses))
}

type gobwasSocket struct {
	compresses bool
	in         wsutil.Reader
	control    wsutil.FrameHandlerFunc
	message    wsflate.MessageState
	inflater   *wsflate.Reader

	mu       sync.Mutex // held by a writer
	out      net.Conn
	deflater *wsflate.Writer
	deflated bytes.Buffer
	closed   bool // a close frame is out, and nothing may follow it
}

func newGobwasSocket(c net.Conn, compresses bool) *gobwasSocket {
	s := &gobwasSocket{compresses: compresses, out: c}
	s.inflater = wsflate.NewReader(nil, wsflate.DefaultHelper.Decompressor)
	s.deflater = wsflate.NewWriter(nil, func(w io.Writer) wsflate.Compressor {
		f, _ := flate.NewWriter(w, flate.BestSpeed) // no error, because the level is one
		return f
	})
	s.control = wsutil.ControlFrameHandler(s, ws.StateServerSide)
	s.in = wsutil.Reader{
		Source: c, State: ws.StateServerSide | ws.StateExtended, MaxFrameSize: maxMessage,
		Extensions: []wsutil.RecvExtension{&s.message}, OnIntermediate: s.control,
	}
	return s
}

func (s *gobwasSocket) read() (string, error) {
	for {
		head, err := s.in.NextFrame()
		if err == nil && head.OpCode.IsControl() {
			if err = s.control(head, &s.in); err == nil {
				continue
			}
		}
		if err != nil {
			return "", err
		}
		var in io.Reader = &s.in
		if s.message.IsCompressed() {
			s.inflater.Reset(in)
			in = s.inflater
		}
		message, err := io.ReadAll(in)
		return string(message), err
	}
}

func (s *gobwasSocket) write(message string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	if !s.compresses {
		return ws.WriteFrame(s.out, ws.NewTextFrame([]byte(message)))
	}
	s.deflated.Reset()
	s.deflater.Reset(&s.deflated)
	if _, err := io.WriteString(s.deflater, message); err != nil {
		return err
	}
	if err := s.deflater.Flush(); err != nil {
		return err
	}
	frame := ws.NewTextFrame(s.deflated.Bytes())
	frame.Header.Rsv = ws.Rsv(true, false, false) // compressed
	return ws.WriteFrame(s.out, frame)
}

// Write sends a frame that answers a control frame.
func (s *gobwasSocket) Write(frame []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = ws.OpCode(frame[0]&0x0f) == ws.OpClose
	return s.out.Write(frame)
}
