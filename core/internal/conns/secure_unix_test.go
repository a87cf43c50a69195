//go:build unix

package conns

import (
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/tls13"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// secureConn makes a connection that has shaken hands, or one that has moved here after that.
func secureConn(t *testing.T, moved bool) (*Conn, *tls.Conn) {
	t.Helper()
	c, below, client := secureOver(t)
	if !moved {
		return c, client
	}
	sealed := must.Get(c.Conn.(*tls13.First).Seal())(t)
	defer sealed.Gone()
	arrived := &Conn{Conn: must.Get(tls13.Adopt(below.Conn, sealed.State()))(t).Taken(), table: c.table}
	arrived.secure(arrived.Conn.(secured))
	return arrived, client
}

// secureOver makes one that has not moved, and returns the one below, too.
func secureOver(t *testing.T) (c, below *Conn, client *tls.Conn) {
	t.Helper()
	certFile, keyFile, _ := rawhttp.Certificate(t)
	cert := must.Get(tls.LoadX509KeyPair(certFile, keyFile))(t)
	cl, nc := pair(t)
	table := NewTable(NewGoodbye())
	below = table.Track(nc, &Origin{Network: "tcp", Address: "here"}, New)
	first := tls13.Server(below, tls13.Config(&tls.Config{Certificates: []tls.Certificate{cert}}))
	client = tls.Client(cl, &tls.Config{InsecureSkipVerify: true})
	shaken := make(chan error, 1)
	go func() { shaken <- first.HandshakeContext(context.Background()) }()
	must.Do(t, client.Handshake())
	must.Do(t, <-shaken)
	return table.Secure(below, first, &Side{}), below, client
}

// parkedTLS makes one that has moved to a lot, and waits there.
func parkedTLS(t *testing.T) (*lotTable, *tls.Conn) {
	t.Helper()
	c, client := secureConn(t, false)
	sealed := must.Get(c.Conn.(*tls13.First).Seal())(t)
	l := newLotTable(t, &http.Server{})
	s := must.Get(fd.Dup(must.Get(c.socket())(t)))(t)
	begin := l.Park(s, l.side, wire.Conn{TLS: len(sealed.State())}, nil, sealed.State())
	sealed.Gone()
	must.Do(t, c.Close())
	begin(true)
	return l, client
}

// TestLot_IdleTLSIsNotCut: the end of a drain does not count it as cut while its client is told.
func TestLot_IdleTLSIsNotCut(t *testing.T) {
	t.Parallel()
	l, client := parkedTLS(t)
	l.mu.Lock() // as if its goodbye took long
	p := slices.Collect(maps.Values(l.lot.conns))[0]
	netConn, told := l.netConn, make(chan struct{})
	l.netConn = func(s int) (net.Conn, error) { <-told; return netConn(s) }
	l.mu.Unlock()
	p.DismissIdle()
	if left := l.Left(); left != (Left{}) {
		t.Errorf("left: %+v", left)
	}
	close(told)
	if n, err := client.Read(make([]byte, 1)); n > 0 || err != io.EOF { //nolint:errorlint // close_notify is that very error
		t.Errorf("the client reads %d bytes, %v", n, err)
	}
}

// TestSecure_TakesThePlace: a drain that has looked before the end of the handshake does not close what is served by now.
func TestSecure_TakesThePlace(t *testing.T) {
	t.Parallel()
	c, below, client := secureOver(t)
	if nc := c.NetConn(); nc != below.Conn {
		t.Errorf("it is over a %T", nc)
	}
	below.IsUnder(c.Conn.(*tls13.First).TLS())
	below.DismissIdle()
	must.Get(io.WriteString(c, "x"))(t)
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
		t.Errorf("the connection is closed: %v", err)
	}
	must.Do(t, c.Close())
	if n := c.table.Count(); n > 0 {
		t.Errorf("%d connections are left", n)
	}
}

// TestSecureConn_IsNotCopiedPastItsTLS by package os, which looks for SyscallConn: neither from a file nor to one.
func TestSecureConn_IsNotCopiedPastItsTLS(t *testing.T) {
	t.Parallel()
	const words = "what only the other end may read"
	for name, moved := range map[string]bool{"has shaken hands": false, "has moved": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, client := secureConn(t, moved)
			all := map[string]net.Conn{"taken over": c.Give(), "taken over from net/http": c}
			if moved {
				all["shown"] = Exposed(c)
				if all["shown"] != all["taken over"] {
					t.Error("a program does not know it again")
				}
			}
			for how, nc := range all {
				if Tracked(nc) != c {
					t.Errorf("%s: it is not found", how)
				}
				path := filepath.Join(t.TempDir(), "file")
				must.Do(t, os.WriteFile(path, []byte(words), 0o600))
				file := must.Get(os.OpenFile(path, os.O_RDWR, 0))(t)
				defer file.Close()
				must.Get(io.Copy(nc, file))(t)
				got := make([]byte, len(words))
				if _, err := io.ReadFull(client, got); err != nil || string(got) != words {
					t.Fatalf("%s: the client reads %q, %v", how, got, err)
				}
				must.Get(client.Write(got))(t)
				must.Get(file.Seek(0, io.SeekStart))(t)
				must.Do(t, file.Truncate(0))
				if _, err := io.CopyN(file, nc, int64(len(words))); err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				if b := must.Get(os.ReadFile(path))(t); string(b) != words {
					t.Errorf("%s: the file gets %q", how, b)
				}
			}
		})
	}
}

// TestSecure_KeepsTheState: what is not net/http's is never idle to a drain, which would close it.
func TestSecure_KeepsTheState(t *testing.T) {
	t.Parallel()
	for _, st := range []State{Raw, New} {
		_, below, _ := secureOver(t)
		below.closed.Store(false) // as before
		below.SetState(st)
		c := below.table.Secure(below, tls13.Server(below, new(tls.Config)), &Side{})
		if !c.Is(st) {
			t.Errorf("from %v it has become %v", st, c.state.Load())
		}
	}
}
