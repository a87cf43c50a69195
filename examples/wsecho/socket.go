package main

import "github.com/gracex-go/gracex/core/wsmove"

// maxMessage is in bytes.
const maxMessage = 1 << 20

// socket is a WebSocket of any library. Any goroutine may call write.
type socket interface {
	read() (message string, err error)
	write(message string) error
}

// serve sends each message back, and numbers besides, until the client goes or the connection moves.
func serve(s *wsmove.Session, c socket) {
	defer count(s, c.write)()
	for {
		message, err := c.read()
		if err != nil || c.write(message) != nil {
			return // for wsmove.ErrMoving, too
		}
	}
}
