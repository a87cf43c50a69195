//go:build unix

package conns

import (
	"errors"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// sparing makes a connection that keeps deadlines from its socket, and the client's end of it.
func sparing(t *testing.T) (client net.Conn, c *Conn) {
	t.Helper()
	client, server := pair(t)
	c = NewTable(NewGoodbye()).Track(server, nil, Active)
	c.BelongsTo(&Side{HTTP: new(http.Server)})
	c.SpareDeadlines()
	c.boundary.speaksHTTP1()
	return client, c
}

// TestDeadlines_ThatChangeNothingAreSpared: one that somebody has set on the socket itself is still there then.
func TestDeadlines_ThatChangeNothingAreSpared(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before      func(c *Conn)
		read, write bool // spared
	}{
		"HTTP/1":            {func(*Conn) {}, true, true},
		"not known yet":     {func(c *Conn) { c.boundary.http1.Store(false) }, false, false},
		"hijacked":          {func(c *Conn) { c.SetState(Hijacked) }, false, false},
		"the mover's":       {func(c *Conn) { must.Do(t, c.passReadDeadline(LongAgo)) }, false, true},
		"the program's":     {func(c *Conn) { must.Do(t, c.SetWriteDeadline(time.Now().Add(time.Hour))) }, true, false},
		"both":              {func(c *Conn) { must.Do(t, c.SetDeadline(time.Now().Add(time.Hour))) }, false, false},
		"of another socket": {func(c *Conn) { c.deadlines.spare = false }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, c := sparing(t)
			must.Do(t, c.SetDeadline(NoDeadline))
			tt.before(c)
			must.Do(t, c.Conn.SetDeadline(LongAgo))
			must.Do(t, c.SetReadDeadline(NoDeadline))
			must.Do(t, c.SetWriteDeadline(NoDeadline))
			send(t, client)
			_, err := c.Read(make([]byte, 1))
			if spared := errors.Is(err, os.ErrDeadlineExceeded); spared != tt.read {
				t.Errorf("the read deadline was spared: %v", spared)
			}
			_, err = c.Write([]byte("x"))
			if spared := errors.Is(err, os.ErrDeadlineExceeded); spared != tt.write {
				t.Errorf("the write deadline was spared: %v", spared)
			}
		})
	}
}

// TestDeadlines_HeldBackOneEndsReads: net/http's own without the socket, and those of others with the socket's error.
func TestDeadlines_HeldBackOneEndsReads(t *testing.T) {
	t.Parallel()
	client, c := sparing(t)
	read := func(room int, want error) {
		t.Helper()
		_, err := c.Read(make([]byte, room))
		var ofSocket *net.OpError
		if !errors.Is(err, want) || errors.As(err, &ofSocket) != (want != nil && room > 1) {
			t.Errorf("a Read of %d: %v, want %v", room, err, want)
		}
	}
	must.Do(t, c.SetReadDeadline(NoDeadline))
	for range 3 {
		must.Do(t, c.SetReadDeadline(LongAgo))
		send(t, client)
		read(1, os.ErrDeadlineExceeded)
		must.Get(c.Conn.Read(make([]byte, 1)))(t) // the socket has none
		read(1, os.ErrDeadlineExceeded)
		must.Do(t, c.SetReadDeadline(NoDeadline))
		send(t, client)
		read(1, nil)
	}
	must.Do(t, c.SetReadDeadline(LongAgo))
	must.Do(t, c.SetReadDeadline(time.Now().Add(time.Hour))) // another one takes its place
	send(t, client)
	read(1, nil)
	must.Do(t, c.SetReadDeadline(NoDeadline))
	must.Do(t, c.SetReadDeadline(LongAgo))
	read(readBuffer, os.ErrDeadlineExceeded)
	must.Do(t, c.SetReadDeadline(NoDeadline))
	send(t, client)
	read(readBuffer, nil)
	// The handler has the socket from here on.
	must.Do(t, c.SetReadDeadline(LongAgo))
	c.SetState(Hijacked)
	if _, err := c.Conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a deadline was lost: %v", err)
	}
	must.Do(t, c.SetReadDeadline(NoDeadline))
	must.Do(t, c.SetReadDeadline(LongAgo))
	if _, err := c.Conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a deadline of the program's is held back: %v", err)
	}
}

// TestDeadlines_EndTheReadThatIsJustBeginning as net/http does after each request: whenever it begins, it ends, and the
// next one has no deadline.
func TestDeadlines_EndTheReadThatIsJustBeginning(t *testing.T) {
	t.Parallel()
	client, c := sparing(t)
	must.Do(t, c.SetReadDeadline(NoDeadline))
	ended := make(chan error)
	for i := range 20_000 {
		go func() {
			_, err := c.Read(make([]byte, 1))
			ended <- err
		}()
		for range i % 100 { // in the meantime
			c.table.now()
		}
		must.Do(t, c.SetReadDeadline(LongAgo))
		select {
		case err := <-ended:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("Read number %d goes on", i)
		}
		must.Do(t, c.SetReadDeadline(NoDeadline))
		if i%100 == 0 {
			must.Get(client.Write([]byte("x")))(t)
			if _, err := c.Read(make([]byte, readBuffer)); err != nil {
				t.Fatal(err)
			}
		}
	}
}
