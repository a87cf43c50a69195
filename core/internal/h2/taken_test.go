package h2

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// takenOver is a connection that a handler has taken over, with the client's end and the count of answers.
func takenOver(t *testing.T, preface int) (c *Conn, client net.Conn, answered *int) {
	t.Helper()
	c, client = pipe(t)
	c.preface, answered = preface, new(int)
	c.Count(func() { *answered++ })
	return c, client, answered
}

// TestStreams_AreCounted from their first frame to the end of the answer, whichever side ends them, and however the
// server cuts what it writes.
func TestStreams_AreCounted(t *testing.T) {
	t.Parallel()
	end := byte(flagEndHeaders | flagEndStream)
	open := func(id uint32) []byte { return appendFrame(nil, typeHeaders, flagEndHeaders, id, 'a') }
	for name, tt := range map[string]struct {
		client, server [][]byte
		open, answered int
	}{
		"open":             {[][]byte{open(1), open(3)}, [][]byte{settings}, 2, 0},
		"answered":         {[][]byte{open(1), open(3)}, [][]byte{settings, appendFrame(nil, typeHeaders, end, 3, 'b')}, 1, 1},
		"answered by DATA": {[][]byte{open(1)}, [][]byte{settings, open(1), appendFrame(nil, typeData, flagEndStream, 1, 'b', 'c')}, 0, 1},
		"half an answer":   {[][]byte{open(1)}, [][]byte{settings, open(1), data, appendFrame(nil, typeData, flagEndStream, 1, 'b', 'c')[:10]}, 1, 0},
		"trailers":         {[][]byte{open(1), data, appendFrame(nil, typeHeaders, end, 1, 'b')}, [][]byte{settings}, 1, 0},
		"reset by client":  {[][]byte{open(1), appendFrame(nil, typeReset, 0, 1, 0, 0, 0, 8)}, [][]byte{settings}, 0, 0},
		"reset by server":  {[][]byte{open(1)}, [][]byte{settings, appendFrame(nil, typeReset, 0, 1, 0, 0, 0, 8)}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{1, 3, 100} {
				c, client, answered := takenOver(t, 0)
				sent, said := bytes.Join(tt.client, nil), bytes.Join(tt.server, nil)
				go func() { _, _ = client.Write(sent) }()
				got := make([]byte, len(sent))
				_, err := io.ReadFull(c, got)
				must.Do(t, err)
				if !bytes.Equal(got, sent) {
					t.Errorf("the server reads % x", got)
				}
				go func() { _, _ = io.Copy(io.Discard, client) }()
				for from := 0; from < len(said); from += size {
					_, err := c.Write(said[from:min(from+size, len(said))])
					must.Do(t, err)
				}
				if c.Open() != tt.open || *answered != tt.answered {
					t.Errorf("pieces of %d: %d open, %d answered; want %d, %d", size, c.Open(), *answered, tt.open, tt.answered)
				}
			}
		})
	}
}

// TestStreams_BehindGOAWAY: the server ignores those, and the client opens them elsewhere.
func TestStreams_BehindGOAWAY(t *testing.T) {
	t.Parallel()
	c, client, _ := takenOver(t, 0)
	go func() { _, _ = io.Copy(io.Discard, client) }()
	_, err := c.Write(append(bytes.Clone(settings), goAway(0, 0)...))
	must.Do(t, err)
	h := appendFrame(nil, typeHeaders, flagEndHeaders, 1)
	go func() { _, _ = client.Write(h) }()
	_, err = io.ReadFull(c, make([]byte, len(h)))
	must.Do(t, err)
	if n := c.Open(); n != 0 {
		t.Errorf("%d open", n)
	}
}

// TestAfterUpgrade: the server's answer in HTTP/1 comes first, and stream 1 is open. The first step comes behind its
// SETTINGS, however it cuts them.
func TestAfterUpgrade(t *testing.T) {
	t.Parallel()
	const answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\r\n\r\n"
	all := append([]byte(answer), settings...)
	for _, size := range []int{1, 2, 7, len(answer), len(all)} {
		c, client, answered := takenOver(t, len(Preface))
		c.AfterUpgrade()
		c.asked.Store(true) // as Leave does when a write is under way
		got := make(chan []byte)
		go func() {
			b, _ := io.ReadAll(client)
			got <- b
		}()
		for from := 0; from < len(all); from += size {
			_, err := c.Write(all[from:min(from+size, len(all))])
			must.Do(t, err)
		}
		if c.Open() != 1 {
			t.Errorf("%d open", c.Open())
		}
		_, err := c.Write(appendFrame(nil, typeHeaders, flagEndHeaders|flagEndStream, 1, 'a'))
		must.Do(t, err)
		if c.Open() != 0 || *answered != 1 {
			t.Errorf("%d open, %d answered", c.Open(), *answered)
		}
		must.Do(t, c.Close())
		if b := <-got; !bytes.HasPrefix(b, append(bytes.Clone(all), c.steps()...)) {
			t.Errorf("pieces of %d: the client gets %q", size, b)
		}
	}
}

// TestOtherProtocol: what is not HTTP/2 after all passes as it is, at once, and Leave says nothing.
func TestOtherProtocol(t *testing.T) {
	t.Parallel()
	for _, hello := range []string{"x", "PRI * HTTP/2.0\r\n\r\nno", "hello, this is no preface at all"} {
		c, client, _ := takenOver(t, len(Preface))
		c.AfterUpgrade()
		go func() { _, _ = io.WriteString(client, hello) }()
		got := make([]byte, len(hello))
		_, err := io.ReadFull(c, got)
		must.Do(t, err)
		c.Leave(patience)
		go func() { _, _ = io.WriteString(client, "y") }() // less than a frame's header
		_, err = io.ReadFull(c, got[:1])
		must.Do(t, err)
		go func() {
			_, _ = c.Write(append([]byte("HTTP/1.1 101\r\n\r\n"), settings...))
			_ = c.Close()
		}()
		b, err := io.ReadAll(client)
		must.Do(t, err)
		if string(got[:1]) != "y" || bytes.Contains(b, c.steps()) || !bytes.HasSuffix(b, settings) {
			t.Errorf("%q: the server reads %q, the client %q", hello, got[:1], b)
		}
	}
}
