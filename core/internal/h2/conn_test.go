package h2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// patience bounds every wait for something that another goroutine does.
const patience = 30 * time.Second

// pipe returns a connection of a server's and the client's end of it, after the preface.
func pipe(t *testing.T) (*Conn, net.Conn) {
	t.Helper()
	server, client := net.Pipe()
	c := New(server, 0, 0, func() {})
	t.Cleanup(func() { _ = c.Close(); _ = client.Close() })
	_ = client.SetDeadline(time.Now().Add(patience))
	_ = server.SetDeadline(time.Now().Add(patience))
	return c, client
}

// steps is what Leave sends.
func (c *Conn) steps() []byte {
	return appendFrame(goAway(maxStream, 0), typePing, 0, 0, c.ping[:]...)
}

var (
	settings = appendFrame(nil, typeSettings, 0, 0)
	header   = appendFrame(nil, typeHeaders, 0, 1, 'a', 'b')
	rest     = appendFrame(nil, typeContinuation, flagEndHeaders, 1, 'c')
	data     = appendFrame(nil, typeData, 0, 1, 'd', 'e', 'f')
)

// TestBetweenFrames: however a server cuts what it writes, ours come behind its SETTINGS,
// between two frames, and not in a header block.
func TestBetweenFrames(t *testing.T) {
	t.Parallel()
	all := bytes.Join([][]byte{settings, header, rest, data}, nil)
	for _, size := range []int{1, 2, 5, 9, 10, 19, len(all)} {
		for asked := range all { // Leave is called before the write that has this byte
			c, client := pipe(t)
			got := make(chan []byte)
			go func() {
				b, _ := io.ReadAll(client)
				got <- b
			}()
			for from := 0; from < len(all); {
				if from+size > asked && !c.asked.Load() {
					c.asked.Store(true) // as Leave does when a write is under way
				}
				n := must.Get(c.Write(all[from:min(from+size, len(all))]))(t)
				from += n
			}
			_ = c.Close()
			b := <-got
			at := bytes.Index(b, c.steps())
			if at < 0 {
				t.Fatalf("pieces of %d, asked after %d: % x", size, asked, b)
			}
			if without := slices.Delete(slices.Clone(b), at, at+len(c.steps())); !bytes.Equal(without, all) {
				t.Errorf("pieces of %d, asked after %d: the server's frames are % x", size, asked, without)
			}
			ends := []int{len(settings), len(settings) + len(header) + len(rest), len(all)}
			if !slices.Contains(ends, at) {
				t.Errorf("pieces of %d, asked after %d: ours are at %d of % x", size, asked, at, b)
			}
		}
	}
}

// TestPartialWrite: after a write of which a part went out before its deadline, the server
// goes on with the rest, and so do we.
func TestPartialWrite(t *testing.T) {
	t.Parallel()
	c, client := pipe(t)
	all := append(slices.Clone(settings), data...)
	first := make(chan []byte)
	go func() {
		b := make([]byte, len(settings)+2) // in the middle of the size
		_, _ = io.ReadFull(client, b)
		first <- b
	}()
	done := make(chan int)
	go func() {
		n, err := c.Write(all)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		done <- n
	}()
	b := <-first
	must.Do(t, c.SetWriteDeadline(longAgo))
	n := <-done
	if n != len(b) {
		t.Fatalf("%d bytes have been written, %d read", n, len(b))
	}
	must.Do(t, c.SetWriteDeadline(time.Time{}))
	go func() {
		_, _ = c.Write(all[n:])
		c.Leave(0)
	}()
	want := append(slices.Clone(all[n:]), c.steps()...)
	got := make([]byte, len(want))
	must.Get(io.ReadFull(client, got))(t)
	if !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
}

// TestReadsWhileWriting: a client that writes before it reads is read from, though a
// write to it stands still, and one of ours waits for that.
func TestReadsWhileWriting(t *testing.T) {
	t.Parallel()
	c, client := pipe(t)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { _, _ = c.Write(settings) })
	for c.writes.mu.TryLock() { // until it is under way
		c.writes.mu.Unlock()
		runtime.Gosched()
	}
	wg.Go(func() { c.Leave(0) })
	got := make(chan []byte, 1)
	wg.Go(func() {
		b := make([]byte, len(data))
		_, err := io.ReadFull(c, b)
		if err != nil {
			t.Error(err)
		}
		got <- b
	})
	must.Get(client.Write(data))(t)
	if b := <-got; !bytes.Equal(b, data) {
		t.Errorf("% x", b)
	}
	must.Do(t, client.Close())
	must.Do(t, c.Close())
}

// TestAnswerToPing: the client's answer to our PING is not the server's to see, one to
// the server's own is; and the GOAWAY comes between two frames, behind a header block.
func TestAnswerToPing(t *testing.T) {
	t.Parallel()
	c, client := pipe(t)
	go func() {
		_, _ = c.Write(settings)
		c.Leave(patience)
	}()
	must.Get(io.ReadFull(client, make([]byte, len(settings)+len(c.steps()))))(t)
	other := appendFrame(nil, typePing, flagAck, 0, bytes.Repeat([]byte{7}, pingSize)...)
	ours := appendFrame(nil, typePing, flagAck, 0, c.ping[:]...)
	go func() {
		_, _ = client.Write(bytes.Join([][]byte{header, rest, other, ours, data}, nil))
		_ = client.Close()
	}()
	got := must.Get(io.ReadAll(c))(t)
	if want := bytes.Join([][]byte{header, rest, other, goAway(0, 0), data}, nil); !bytes.Equal(got, want) {
		t.Errorf("the server reads % x, want % x", got, want)
	}
}

// TestNoAnswerToPing: the server is told when the time is over, in the middle of a Read
// but not of a header block, and afterwards its deadline is what it has set.
func TestNoAnswerToPing(t *testing.T) {
	t.Parallel()
	c, client := pipe(t)
	below := &deadlineConn{Conn: c.Conn}
	c.Conn = below
	own := time.Now().Add(patience)
	must.Do(t, c.SetReadDeadline(own))
	go func() { _, _ = io.Copy(io.Discard, client) }()
	must.Get(c.Write(settings))(t)
	sent := make(chan struct{})
	go func() {
		_, _ = client.Write(header)
		close(sent)
	}()
	b := make([]byte, len(header))
	must.Get(io.ReadFull(c, b))(t)
	<-sent
	left := make(chan struct{})
	go func() {
		for !c.reads.waiting() {
			runtime.Gosched()
		}
		c.Leave(0)
		close(left)
		_, _ = client.Write(rest)
		_, _ = client.Write(data[:4]) // and no more
	}()
	want := append(slices.Clone(rest), goAway(0, 0)...)
	b = make([]byte, len(want))
	must.Get(io.ReadFull(c, b))(t)
	<-left
	if !bytes.Equal(b, want) {
		t.Errorf("the server reads % x, want % x", b, want)
	}
	if below.all[1] != longAgo || below.all[2] != own || len(below.all) != 3 {
		t.Errorf("the deadlines are %v: want the server's, one in the past, the server's", below.all)
	}
	must.Do(t, c.SetReadDeadline(time.Now().Add(time.Millisecond)))
	if _, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the server's deadline does not hold: %v", err)
	}
}

func (r *readState) waiting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waits
}

// deadlineConn notes the deadlines for reading.
type deadlineConn struct {
	net.Conn
	all []time.Time // guarded by the readState's mutex
}

func (c *deadlineConn) SetReadDeadline(t time.Time) error {
	c.all = append(c.all, t)
	return c.Conn.SetReadDeadline(t)
}

// TestPrefaceLimit: the wait for the preface is bounded, and the server's own deadline holds behind it.
func TestPrefaceLimit(t *testing.T) {
	t.Parallel()
	for name, sends := range map[string]string{"nothing": "", "a part": Preface[:10], "all": Preface} {
		server, client := net.Pipe()
		c := New(server, len(Preface), 50*time.Millisecond, func() {})
		go func() {
			_, _ = io.WriteString(client, sends)
			if sends == Preface {
				_, _ = client.Write(data)
			}
		}()
		b := make([]byte, len(Preface))
		n, err := io.ReadFull(c, b)
		if complete := sends == Preface; complete != (err == nil) || string(b[:n]) != sends || !complete && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %q, %v", name, b[:n], err)
		} else if complete {
			time.Sleep(60 * time.Millisecond) // past the limit, which must not hold any more
			must.Get(io.ReadFull(c, b[:len(data)]))(t)
		}
		_ = c.Close()
		_ = client.Close()
	}
}

// TestWriteDeadlineIsNotOurs: a deadline that a write of the server's has left behind does not
// end ours, and is there again afterwards.
func TestWriteDeadlineIsNotOurs(t *testing.T) {
	t.Parallel()
	c, client := pipe(t)
	go func() {
		_, _ = c.Write(settings)
		_ = c.SetWriteDeadline(longAgo)
		c.Leave(0)
	}()
	b := make([]byte, len(settings)+len(c.steps()))
	must.Get(io.ReadFull(client, b))(t)
	if !bytes.HasSuffix(b, c.steps()) {
		t.Errorf("% x", b)
	}
	<-c.first
	c.writes.mu.Lock()   // ours is over
	c.writes.mu.Unlock() //nolint:staticcheck // only waited for
	if _, err := c.Write(data); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the server's deadline is lost: %v", err)
	}
}
