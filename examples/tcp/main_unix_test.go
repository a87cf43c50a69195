//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/examples/internal/exampletest"
	"github.com/gracex-go/gracex/internal/must"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestErrorEndsWithStatus1(t *testing.T) {
	t.Parallel()
	exampletest.ErrorEndsWithStatus1(t, "tcp")
}

// client sends numbered lines, in pieces, and checks that each is answered once and in order, on one connection.
type client struct {
	c          net.Conn
	in         *bufio.Reader
	generation atomic.Int64 // that has answered last
	lines      int
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	c := must.Get(net.Dial("tcp", addr))(t)
	t.Cleanup(func() { c.Close() })
	return &client{c: c, in: bufio.NewReader(c)}
}

// ask sends one line in two pieces and reads the answer.
func (c *client) ask() error {
	c.lines++
	if _, err := fmt.Fprintf(c.c, "line "); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c.c, "%d\n", c.lines); err != nil {
		return err
	}
	_ = c.c.SetReadDeadline(time.Now().Add(exampletest.Patience))
	answer, err := c.in.ReadString('\n')
	if err != nil {
		return fmt.Errorf("line %d: %q %w", c.lines, answer, err)
	}
	var generation int64
	var n, number int
	if _, err := fmt.Sscanf(answer, "%d %d line %d\n", &n, &generation, &number); err != nil || n != c.lines || number != c.lines {
		return fmt.Errorf("line %d: %q %w", c.lines, answer, err)
	}
	c.generation.Store(generation)
	return nil
}

// TestUpgrades: clients stay connected through upgrades, and the server remembers how many lines they have
// sent.
func TestUpgrades(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t)
	quiet := dial(t, p.Addr) // says something now and in the end
	must.Do(t, quiet.ask())
	half := dial(t, p.Addr) // is in the middle of a line all the time
	must.Get(io.WriteString(half.c, "line "))(t)
	var clients []*client
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for range 8 {
		c := dial(t, p.Addr)
		clients = append(clients, c)
		exampletest.Repeat(t, &busy, stop, c.ask)
	}
	const upgrades = 4
	for n := range upgrades {
		p.Upgrade(syscall.SIGUSR2)
		for _, c := range clients {
			p.Await("the client gets to the next generation", func() bool { return c.generation.Load() == int64(n+1) || t.Failed() })
		}
	}
	close(stop)
	busy.Wait()
	if err := quiet.ask(); err != nil || quiet.generation.Load() != upgrades {
		t.Errorf("the quiet client: %v, generation %d", err, quiet.generation.Load())
	}
	if _, err := io.WriteString(half.c, "1\n"); err != nil {
		t.Error(err)
	}
	if answer, err := half.in.ReadString('\n'); err != nil || answer != fmt.Sprintf("1 %d line 1\n", upgrades) {
		t.Errorf("the client in the middle of a line: %q %v", answer, err)
	}

	p.Signal(syscall.SIGTERM)
	if answer, err := quiet.in.ReadString('\n'); err != nil || answer != "bye\n" {
		t.Errorf("at the end: %q %v", answer, err)
	}
	if _, err := quiet.in.ReadByte(); err != io.EOF {
		t.Errorf("behind the goodbye: %v", err)
	}
	p.End()
}

// TestLongLine: a line that is too long ends the connection, and not the server.
func TestLongLine(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t)
	long := dial(t, p.Addr)
	go func() {
		_, _ = io.Copy(long.c, neverEnding('x'))
	}()
	if _, err := long.in.ReadByte(); err == nil {
		t.Error("it was answered")
	}
	if err := dial(t, p.Addr).ask(); err != nil {
		t.Error(err)
	}
	p.Stop()
}

// neverEnding is a reader of one byte again and again.
type neverEnding byte

func (b neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}
