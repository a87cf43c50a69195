//go:build unix

package core_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestMove_TLSBodies: a body goes up and comes down again across several upgrades, over HTTP/1 and HTTP/2, and each byte is
// right. The stream stays with its process, and the connection moves when it has ended.
func TestMove_TLSBodies(t *testing.T) {
	t.Parallel()
	upgrades, size := 3, 8<<20
	if n, err := strconv.Atoi(os.Getenv("CORE_TEST_TLS_BODY")); err == nil { // a long form: so many MB
		upgrades, size = 10, n<<20
	}
	certFile, keyFile, pool := rawhttp.Certificate(t)
	a := installed(t)
	a.start("app", "./app", "-tlshandoff", "-cert", certFile, "-key", keyFile, "-listen", "tcp,127.0.0.1:0,tls",
		"-maxdraining", "100", "-drain", "10m")
	current := a.expect("ready", 0)
	addr := current.Addrs[0]
	var streams []*bigStream
	for _, http2 := range []bool{false, true} {
		streams = append(streams, startBigStream(t, addr, &tls.Config{RootCAs: pool}, http2, size/(upgrades+1), upgrades+1))
	}
	for range upgrades {
		for _, s := range streams {
			s.half() // it is in the middle
		}
		current = a.next(current)
		a.expectLog("msg=draining", current.Gen)
	}
	for _, s := range streams {
		s.half()
		s.end()
	}
	a.endsWell(0)
	a.expectLog(`msg="generation ended" generation=0 `, 1)
	// Who has a stream of HTTP/2 open for 5 s is asked to make the next ones on another connection.
	stayed := strings.Count(a.log(), "ledger.stayed_http2_streams=1 ")
	for _, s := range streams {
		got, dials, want := s.ask(), int(s.dials.Load()), 1
		if s.proto == "HTTP/2.0" {
			want += stayed
		}
		t.Logf("%s: %d bytes up and down, and connected %d times", s.proto, size, dials)
		if got != strconv.Itoa(upgrades) || dials != want {
			t.Errorf("generation %s answers, and the client has connected %d times, want %d", got, dials, want)
		}
	}
	expectAgreement(a)
}

// bigStream is a request whose body comes back.
type bigStream struct {
	t      *testing.T
	url    string
	client *http.Client
	proto  string // of the answer
	dials  atomic.Int32
	parts  chan struct{} // one for each part of the body that may be sent
	halves chan struct{} // one for each of which a half has come back
	wg     sync.WaitGroup
}

func startBigStream(t *testing.T, addr string, conf *tls.Config, http2 bool, part, parts int) *bigStream {
	s := &bigStream{t: t, url: "https://" + addr, parts: make(chan struct{}, parts), halves: make(chan struct{}, parts)}
	tr := &http.Transport{TLSClientConfig: conf, Protocols: new(http.Protocols), MaxIdleConnsPerHost: 1}
	tr.Protocols.SetHTTP1(!http2)
	tr.Protocols.SetHTTP2(http2)
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		s.dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	t.Cleanup(tr.CloseIdleConnections)
	s.client = &http.Client{Transport: tr}
	pr, pw := io.Pipe()
	s.parts <- struct{}{}
	s.wg.Go(func() { _ = pw.CloseWithError(s.send(pw, part, parts)) })
	s.wg.Go(func() {
		if err := s.receive(pr, part, parts); err != nil {
			t.Error(err)
			_ = pr.CloseWithError(err)
			close(s.halves)
		}
	})
	return s
}

// pattern is what the body is.
func pattern() io.Reader { return rand.NewChaCha8([32]byte{}) }

// send sends the body part by part.
func (s *bigStream) send(w io.Writer, part, parts int) error {
	body := pattern()
	for range parts {
		<-s.parts
		if _, err := io.CopyN(w, body, int64(part)); err != nil {
			return err
		}
	}
	return nil
}

// receive reads what comes back, and compares.
func (s *bigStream) receive(body io.Reader, part, parts int) error {
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/copy", body)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	s.proto = resp.Proto
	want := pattern()
	for i := range parts {
		for _, n := range []int{part / 2, part - part/2} {
			if err := same(resp.Body, want, n); err != nil {
				return fmt.Errorf("part %d: %w", i, err)
			}
			if n == part/2 {
				s.halves <- struct{}{}
			}
		}
	}
	if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("behind the body: %d bytes, %w", n, err)
	}
	return nil
}

// same compares n bytes of each.
func same(got, want io.Reader, n int) error {
	var a, b [32 << 10]byte
	for n > 0 {
		k := min(n, len(a))
		if _, err := io.ReadFull(got, a[:k]); err != nil {
			return err
		}
		if _, err := io.ReadFull(want, b[:k]); err != nil {
			return err
		}
		if !bytes.Equal(a[:k], b[:k]) {
			return errors.New("it is another body")
		}
		n -= k
	}
	return nil
}

// half returns when half of a part has come back. Then the rest of it is on its way, and the next part may follow.
func (s *bigStream) half() {
	<-s.halves
	select {
	case s.parts <- struct{}{}:
	default: // it was the last one
	}
}

// end waits for the end of the body.
func (s *bigStream) end() { s.wg.Wait() }

// ask returns the generation that answers the next request.
func (s *bigStream) ask() string {
	s.t.Helper()
	resp, err := s.client.Get(s.url + "/")
	must(s.t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	must(s.t, err)
	must(s.t, resp.Body.Close())
	return resp.Header.Get("X-Generation")
}
