package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/wsmove"
)

// maxMessage is longer than what the kit's clients send, in bytes.
const maxMessage = 1 << 16

// echoMessages takes a WebSocket over, which moves, and sends each message back in one frame. It does as much of RFC 6455
// as the kit's clients need.
func (s *server) echoMessages(w http.ResponseWriter, r *http.Request) {
	wsmove.Move(r)
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.log.Error("can't hijack", "error", err)
		return
	}
	defer c.Close()
	_, err = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Pid: %d\r\nX-Generation: %d\r\n\r\n",
		os.Getpid(), core.Generation())
	for err == nil {
		var message []byte
		if message, err = readMessage(rw.Reader); err == nil {
			_, err = c.Write(message)
		}
	}
}

// readMessage reads a frame of a client, and returns it as one of a server.
func readMessage(in *bufio.Reader) ([]byte, error) {
	head := make([]byte, 14) // at the most (RFC 6455, section 5.2)
	if _, err := io.ReadFull(in, head[:2]); err != nil {
		return nil, err
	}
	n, size := 2, uint64(head[1]&0x7f)
	switch size {
	case 126:
		n = 4
	case 127:
		n = 10
	}
	if _, err := io.ReadFull(in, head[2:n+4]); err != nil {
		return nil, err
	}
	switch n {
	case 4:
		size = uint64(binary.BigEndian.Uint16(head[2:]))
	case 10:
		size = binary.BigEndian.Uint64(head[2:])
	}
	if size > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", size)
	}
	frame := append(make([]byte, 0, n+int(size)), head[:n]...)
	frame[1] &= 0x7f // a server does not mask
	frame = frame[:n+int(size)]
	if _, err := io.ReadFull(in, frame[n:]); err != nil {
		return nil, err
	}
	for i := range frame[n:] {
		frame[n+i] ^= head[n+i%4]
	}
	return frame, nil
}
