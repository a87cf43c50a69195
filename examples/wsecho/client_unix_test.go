//go:build unix

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
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
	"github.com/gracex-go/gracex/examples/internal/latency"
	"github.com/gracex-go/gracex/internal/must"
)

// clientSocket is a client's side of a connection.
type clientSocket interface {
	write(message string, fragments bool) error
	read() (string, error)
	end() error // closes the connection, and returns when the server has answered
}

type gorillaClient struct {
	mu sync.Mutex
	*gorillaws.Conn
}

func (s *gorillaClient) write(message string, fragments bool) error {
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

func (s *gorillaClient) read() (string, error) {
	s.SetReadDeadline(time.Now().Add(patience))
	_, b, err := s.ReadMessage()
	return string(b), err
}

func (s *gorillaClient) end() error {
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

type coderClient struct{ *coderws.Conn }

func (s *coderClient) write(message string, _ bool) error {
	return s.Write(context.Background(), coderws.MessageText, []byte(message))
}

func (s *coderClient) read() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, b, err := s.Read(ctx)
	return string(b), err
}

func (s *coderClient) end() error { return s.Close(coderws.StatusNormalClosure, "") }

// last is what a client says last.
const last = "end"

// kind is how a client of this process opens its connection.
type kind struct {
	path       string
	coder      bool // by coder/websocket, otherwise by gorilla/websocket
	compresses bool
}

// client sends numbered messages and checks what it gets: each one back, and the server's numbers, once and in order. It
// has one connection, and never another.
type client struct {
	clientSocket
	kind
	got    atomic.Int64 // messages
	echoes atomic.Int64

	numbers int

	mu   sync.Mutex
	sent []time.Time
}

// dial opens a client's connection, over TLS if secure is not nil.
func dial(t *testing.T, p *exampletest.Program, secure *tls.Config, k kind) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	url := "ws://" + p.Addr + "/" + k.path
	if secure != nil {
		url = "wss" + strings.TrimPrefix(url, "ws")
	}
	if !k.coder {
		d := gorillaws.Dialer{EnableCompression: k.compresses, TLSClientConfig: secure}
		ws, answer, err := d.DialContext(ctx, url, nil)
		must.Do(t, err)
		t.Cleanup(func() { ws.Close() })
		k.isCompressed(t, answer)
		return &client{kind: k, clientSocket: &gorillaClient{Conn: ws}}
	}
	mode := coderws.CompressionDisabled
	if k.compresses {
		mode = coderws.CompressionContextTakeover
	}
	ws, answer, err := coderws.Dial(ctx, url, &coderws.DialOptions{
		CompressionMode: mode, CompressionThreshold: 64, HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: secure}},
	})
	must.Do(t, err)
	t.Cleanup(func() { ws.CloseNow() })
	k.isCompressed(t, answer)
	ws.SetReadLimit(maxMessage)
	return &client{kind: k, clientSocket: &coderClient{ws}}
}

// isCompressed checks the answer to the handshake. x/net has no compression.
func (k kind) isCompressed(t *testing.T, answer *http.Response) {
	t.Helper()
	if got := answer.Header.Get("Sec-Websocket-Extensions"); (got != "") != (k.compresses && k.path != "xnet") {
		t.Errorf("%+v: the extensions are %q", k, got)
	}
}

// ahead is how many messages a client sends before it awaits the echo of the first.
const ahead = 100

// talk sends a message every gap until quit is closed, some of them long and in fragments, and then the last one. x/net
// gets short ones only, because it takes each fragment for a message, and gorilla/websocket sends what is longer than its
// buffer in fragments.
func (c *client) talk(quit <-chan struct{}, gap time.Duration) error {
	tick := time.NewTicker(gap)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-quit:
			return c.write(last, false)
		case <-tick.C:
		}
		if n-int(c.echoes.Load()) > ahead {
			continue
		}
		message := strconv.Itoa(n)
		if n%8 == 7 && c.path != "xnet" {
			message += " " + strings.Repeat("abcdefgh", n%2000)
		}
		c.mu.Lock()
		c.sent = append(c.sent, time.Now())
		c.mu.Unlock()
		if err := c.write(message, n%4 == 3 && c.path != "xnet"); err != nil {
			return fmt.Errorf("message %d: %w", n, err)
		}
		n++
	}
}

// listen reads until the last message has come back, and closes the connection then.
func (c *client) listen(took *latency.Log) error {
	for echoes := 0; ; c.got.Add(1) {
		message, err := c.read()
		if err != nil {
			return fmt.Errorf("after %d echoes and %d numbers: %w", echoes, c.numbers, err)
		}
		first, _, _ := strings.Cut(message, " ")
		switch {
		case message == numberPrefix+strconv.Itoa(c.numbers):
			c.numbers++
		case first == strconv.Itoa(echoes):
			c.mu.Lock()
			sent := c.sent[echoes]
			c.mu.Unlock()
			took.Add(sent, time.Since(sent))
			echoes++
			c.echoes.Store(int64(echoes))
		case message == last && echoes == len(c.sent):
			if err := c.end(); c.path != "xnet" { // which does not answer a close frame
				return err
			}
			return nil
		default:
			return fmt.Errorf("%.40q after %d echoes and %d numbers", message, echoes, c.numbers)
		}
	}
}
