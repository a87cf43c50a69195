//go:build unix

package conns

import (
	"io"
	"net"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestWriteTo_TakesAllThatComes: of the program's own connections by the socket's own way, and of others.
func TestWriteTo_TakesAllThatComes(t *testing.T) {
	t.Parallel()
	for st, own := range map[State]bool{Raw: true, Hijacked: true, Active: false} {
		in, server := pair(t)
		out, backend := pair(t)
		c := NewTable(NewGoodbye()).Track(server, nil, st)
		if own {
			c.Conn = &writerTo{c.Conn.(*net.TCPConn), false}
		}
		go func() {
			send(t, in)
			_ = in.(*net.TCPConn).CloseWrite()
		}()
		n := must.Get(io.Copy(backend, c))(t)
		must.Do(t, backend.Close())
		got := must.Get(io.ReadAll(out))(t)
		if int64(len(got)) != n || n == 0 {
			t.Errorf("state %d: %d bytes of %d", st, len(got), n)
		}
		if own && !c.Conn.(*writerTo).used {
			t.Errorf("state %d: not by the socket's own way", st)
		}
	}
}

// writerTo notes that it is asked.
type writerTo struct {
	*net.TCPConn
	used bool
}

func (w *writerTo) WriteTo(to io.Writer) (int64, error) {
	w.used = true
	return w.TCPConn.WriteTo(to)
}
