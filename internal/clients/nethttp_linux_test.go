package clients

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// goClients are clients of net/http's.
type goClients struct {
	t                *testing.T
	s                *server
	body             []byte
	how              string
	version          int // of HTTP
	over             atomic.Bool
	wg               sync.WaitGroup
	wanted           int
	requests, dials  atomic.Int64
	attempts, failed atomic.Int64
	refused, itself  atomic.Int64
}

// netHTTP starts so many Transports, with requests from so many goroutines each. A "stream" is a POST whose body nobody
// can send again.
func netHTTP(transports, each int, how string, size int) func(*testing.T, *server) running {
	return netHTTPOf(2, transports, each, how, size)
}

// netHTTP1 is netHTTP for HTTP/1, with requests one after the other.
func netHTTP1(transports int, how string, size int) func(*testing.T, *server) running {
	return netHTTPOf(1, transports, 1, how, size)
}

func netHTTPOf(version, transports, each int, how string, size int) func(*testing.T, *server) running {
	return func(t *testing.T, s *server) running {
		c := &goClients{t: t, s: s, how: how, version: version, body: bytes.Repeat([]byte("x"), size), wanted: transports}
		for range transports {
			tr := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: s.tls, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				c.dials.Add(1)
				return new(net.Dialer).DialContext(ctx, network, addr)
			}}
			tr.Protocols.SetHTTP1(version == 1)
			tr.Protocols.SetHTTP2(version == 2 && s.tls != nil)
			tr.Protocols.SetUnencryptedHTTP2(version == 2 && s.tls == nil)
			t.Cleanup(tr.CloseIdleConnections)
			cl := &http.Client{Transport: tr, Timeout: patience}
			c.ask(cl) // else it dials for each of the first requests
			for range each {
				c.wg.Go(func() {
					for !c.over.Load() {
						c.ask(cl)
						time.Sleep(time.Millisecond)
					}
				})
			}
		}
		return c
	}
}

func (c *goClients) again() {}

func (c *goClients) end() counts {
	c.over.Store(true)
	c.wg.Wait()
	return counts{
		requests: int(c.requests.Load()), failed: int(c.failed.Load()), refused: int(c.refused.Load()), itself: int(c.itself.Load()),
		repeated:    int(c.attempts.Load() - c.requests.Load()),
		connections: int(c.dials.Load()), wanted: c.wanted, full: int(c.s.full.Load()), resumed: int(c.s.resumed.Load()),
	}
}

// ask sends a request, and counts it.
func (c *goClients) ask(cl *http.Client) {
	c.requests.Add(1)
	err := c.try(cl)
	if err == nil {
		return
	}
	c.failed.Add(1)
	text := err.Error()
	switch {
	case strings.Contains(text, "GOAWAY"):
		c.refused.Add(1)
	case strings.Contains(text, "cannot rewind body"), strings.Contains(text, "client conn not usable"):
		c.itself.Add(1) // golang/go#62450: it has found the connection leaving before it has sent anything
		return
	}
	c.t.Log(err)
}

func (c *goClients) try(cl *http.Client) error {
	method, body := http.MethodPost, io.Reader(bytes.NewReader(c.body))
	switch c.how {
	case "GET":
		method, body = http.MethodGet, nil
	case "stream":
		body = struct{ io.Reader }{body}
	}
	ctx := httptrace.WithClientTrace(c.t.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { c.attempts.Add(1) }})
	r, err := http.NewRequestWithContext(ctx, method, c.s.url()+"/", body)
	if err != nil {
		return err
	}
	resp, err := cl.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !bytes.Equal(got, c.body) || resp.ProtoMajor != c.version) {
		err = fmt.Errorf("%s %s, %d bytes for %d", resp.Proto, resp.Status, len(got), len(c.body))
	}
	return err
}

// rawClients are clients of this project's, which never repeat anything.
type rawClients struct {
	s   *server
	run *load.Run
}

func raw(size int) func(*testing.T, *server) running {
	return rawOf(load.Config{HTTP2: true, Streams: 4, Clients: 8, Chunked: true, BodySize: size, Timeout: patience})
}

// rawHTTP1 is raw for HTTP/1, with requests one after the other.
func rawHTTP1(size int) func(*testing.T, *server) running {
	return rawOf(load.Config{Clients: 8, Chunked: true, BodySize: size, Timeout: patience})
}

func rawOf(cfg load.Config) func(*testing.T, *server) running {
	return func(_ *testing.T, s *server) running {
		cfg := cfg
		cfg.Addr, cfg.TLS = s.addr, s.tls
		return &rawClients{s, load.Start(cfg)}
	}
}

func (c *rawClients) again() {}

func (c *rawClients) end() counts {
	r := c.run.Stop()
	got := counts{
		requests: r.Requests, failed: r.Failed, refused: r.Reasons[load.RefusedStream], connections: r.Connects, wanted: 8,
		full: int(c.s.full.Load()), resumed: int(c.s.resumed.Load()),
	}
	if r.Failed > 0 {
		got.note = r.String()
	}
	return got
}
