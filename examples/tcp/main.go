// Command tcp is a plain TCP server with an accept loop of its own that upgrades itself: replace its binary, send
// it SIGUSR2 or SIGHUP, and its clients' connections go on in the new process, with what it knows of them.
//
//	go build -o server ./examples/tcp
//	./server -addr 127.0.0.1:9007 -pidfile server.pid &
//	nc 127.0.0.1 9007
//	kill -USR2 "$(cat server.pid)"
//
// It answers each line by its number on this connection, the generation that has read it, and the line. When
// the service stops, a client reads "bye".
//
// gracex tracks the connections of such a loop as it does those of an http.Server: the drain waits for them,
// and at its deadline they are cut, counted and logged. What they say is the program's own, so it has to be
// told to leave: core.Draining.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
)

const (
	// handoffName is what the two processes call these connections.
	handoffName = "lines"
	// maxLine is the longest line, in bytes. It bounds what a client can make this process keep, and what it has to
	// pass on: core.MaxHandoffState.
	maxLine = 64 << 10
)

func main() {
	flags := app.Parse(":9007")

	core.OnHandoff(handoffName, adopt) // before the old process can pass anything on
	err := core.Run(func(u *core.Upgrader) error {
		ln, err := u.Listen(context.Background(), "tcp", flags.Addr)
		if err != nil {
			return err
		}
		go accept(ln)
		return nil
	}, flags.Options()...)
	// nil comes back after a clean stop and after a handover, and ErrCut after a stop that cut what was left.
	if err != nil && !errors.Is(err, core.ErrCut) {
		fmt.Fprintln(os.Stderr, "tcp:", err)
		os.Exit(1)
	}
}

// accept takes connections until this process drains.
func accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			slog.Warn("accept", "error", err)
			time.Sleep(10 * time.Millisecond) // too many open files, say
			continue
		}
		go serve(c, session{})
	}
}

// session is what this server knows of a client: all that the next generation needs.
type session struct {
	Lines int    // that were answered
	Rest  []byte // was read and is no whole line yet
}

// adopt goes on where the old process has stopped.
func adopt(c net.Conn, state []byte) {
	var s session
	if err := json.Unmarshal(state, &s); err != nil {
		slog.Error("a session that can't be read", "error", err)
		_ = c.Close()
		return
	}
	serve(c, s)
}

// serve answers lines until the client leaves, or this process does.
func serve(c net.Conn, s session) {
	defer c.Close() // after a Handoff it is closed here already
	left := make(chan struct{})
	defer close(left)
	go func() {
		select {
		case <-core.Draining(context.Background()):
			_ = c.SetReadDeadline(time.Unix(1, 0)) // wakes a Read that waits
		case <-left:
		}
	}()
	in := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(s.Rest), c), maxLine)
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.Rest = line // all that the reader had
			leave(c, s)
			return
		}
		if err != nil { // the client has left, or its line is too long
			return
		}
		s.Lines++
		if _, err := fmt.Fprintf(c, "%d %d %s", s.Lines, core.Generation(), line); err != nil {
			return
		}
	}
}

// leave moves the client to the next generation, or says goodbye: there is none, or it does not take it.
func leave(c net.Conn, s session) {
	state, err := json.Marshal(s)
	if err == nil {
		err = core.Handoff(c, handoffName, state)
	}
	if err != nil {
		_, _ = io.WriteString(c, "bye\n")
	}
}
