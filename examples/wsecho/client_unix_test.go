//go:build unix

package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coderws "github.com/coder/websocket"
	gorillaws "github.com/gorilla/websocket"

	"github.com/gracex-go/gracex/examples/internal/exampletest"
	"github.com/gracex-go/gracex/internal/must"
)

// socket is a client's side of a connection.
type socket interface {
	write(message string, fragments bool) error
	read() (string, error)
	end() error // closes the connection, and returns when the server has answered
}

type gorillaSocket struct {
	mu sync.Mutex
	*gorillaws.Conn
}

func (s *gorillaSocket) write(message string, fragments bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !fragments {
		return s.WriteMessage(gorillaws.TextMessage, []byte(message))
	}
	w, err := s.NextWriter(gorillaws.TextMessage)
	if err != nil {
		return err
	}
	for part := range slices.Chunk([]byte(message), 700) {
		if _, err := w.Write(part); err != nil {
			return err
		}
		if err := s.WriteControl(gorillaws.PingMessage, []byte("between"), time.Now().Add(patience)); err != nil {
			return err
		}
	}
	return w.Close()
}

func (s *gorillaSocket) read() (string, error) {
	s.SetReadDeadline(time.Now().Add(patience))
	_, b, err := s.ReadMessage()
	return string(b), err
}

func (s *gorillaSocket) end() error {
	s.mu.Lock()
	err := s.WriteMessage(gorillaws.CloseMessage, gorillaws.FormatCloseMessage(gorillaws.CloseNormalClosure, ""))
	s.mu.Unlock()
	for err == nil {
		_, err = s.read()
	}
	if gorillaws.IsCloseError(err, gorillaws.CloseNormalClosure) {
		return nil
	}
	return err
}

type coderSocket struct{ *coderws.Conn }

func (s *coderSocket) write(message string, _ bool) error {
	return s.Write(context.Background(), coderws.MessageText, []byte(message))
}

func (s *coderSocket) read() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, b, err := s.Read(ctx)
	return string(b), err
}

func (s *coderSocket) end() error { return s.Close(coderws.StatusNormalClosure, "") }

// last is what a client says last.
const last = "end"

// client sends numbered messages and checks what it gets: each one back, and the server's numbers, once and in order. It
// has one connection, and never another.
type client struct {
	socket
	name string
	got  atomic.Int64 // messages

	mu        sync.Mutex
	sent      []time.Time
	latencies []time.Duration
}

// dial opens the n-th client's connection.
func dial(t *testing.T, p *exampletest.Program, path string, n int) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := &client{name: path + " " + strconv.Itoa(n)}
	url := "ws://" + p.Addr + path
	if n%2 == 0 {
		d := gorillaws.Dialer{EnableCompression: n%4 == 0}
		ws, _, err := d.DialContext(ctx, url, nil)
		must.Do(t, err)
		t.Cleanup(func() { ws.Close() })
		c.socket = &gorillaSocket{Conn: ws}
		return c
	}
	ws, _, err := coderws.Dial(ctx, url, &coderws.DialOptions{CompressionMode: coderws.CompressionContextTakeover, CompressionThreshold: 64})
	must.Do(t, err)
	t.Cleanup(func() { ws.CloseNow() })
	ws.SetReadLimit(maxMessage)
	c.socket = &coderSocket{ws}
	return c
}

// talk sends a message every gap until quit is closed, some of them long and in fragments, and then the last one.
func (c *client) talk(quit <-chan struct{}, gap time.Duration) error {
	tick := time.NewTicker(gap)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-quit:
			return c.write(last, false)
		case <-tick.C:
		}
		message := strconv.Itoa(n)
		if n%8 == 7 {
			message += " " + strings.Repeat("abcdefgh", n%2000)
		}
		c.mu.Lock()
		c.sent = append(c.sent, time.Now())
		c.mu.Unlock()
		if err := c.write(message, n%4 == 3); err != nil {
			return fmt.Errorf("message %d: %w", n, err)
		}
	}
}

// listen reads until the last message has come back, and closes the connection then.
func (c *client) listen() error {
	echoes, numbers := 0, 0
	for ; ; c.got.Add(1) {
		message, err := c.read()
		if err != nil {
			return fmt.Errorf("after %d echoes and %d numbers: %w", echoes, numbers, err)
		}
		first, _, _ := strings.Cut(message, " ")
		switch {
		case message == "number "+strconv.Itoa(numbers):
			numbers++
		case first == strconv.Itoa(echoes):
			c.mu.Lock()
			c.latencies = append(c.latencies, time.Since(c.sent[echoes]))
			c.mu.Unlock()
			echoes++
		case message == last && echoes == len(c.sent):
			return c.end()
		default:
			return fmt.Errorf("%.40q after %d echoes and %d numbers", message, echoes, numbers)
		}
	}
}
