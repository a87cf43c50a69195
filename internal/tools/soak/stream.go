package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

const (
	maxChunk  = 24 << 10 // of a stream, written at once
	streaming = 16       // chunks on the way at most
)

// chunk is a part of a stream on its way.
type chunk struct {
	size int
	at   time.Time
}

// stream has a connection hijacked that echoes, and checks that exactly those
// bytes come back that it sends. Each chunk counts as a request.
func stream(c net.Conn, rng *rand.Rand, t *tally, stop <-chan struct{}) bool {
	if !pause(upTo(200*time.Millisecond, rng), stop) {
		return true
	}
	r, err := upgrade(c, t)
	if err != nil {
		t.lost(c, err, func() int { return 0 })
		return false
	}
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], rng.Uint64())
	sent, gone := make(chan chunk, streaming), make(chan struct{})
	go func() {
		defer close(sent)
		bytes, b := rand.NewChaCha8(seed), make([]byte, maxChunk)
		for {
			what := chunk{1 << rng.IntN(12), time.Now()}
			if rng.IntN(10) == 0 {
				what.size = 1 + rng.IntN(maxChunk)
			}
			select {
			case sent <- what:
			case <-gone:
				return
			}
			_, _ = bytes.Read(b[:what.size])
			if _, err := c.Write(b[:what.size]); err != nil {
				return // the reader will notice too
			}
			think := 30 * time.Millisecond
			switch rng.IntN(40) {
			case 0:
				think = 2 * time.Second
			case 1, 2, 3, 4, 5, 6:
				think = 0
			}
			if !pause(upTo(think, rng), stop) {
				return
			}
		}
	}()
	err = readEcho(c, r, rand.NewChaCha8(seed), sent, t)
	if err == nil {
		return true
	}
	close(gone)
	t.lost(c, err, rest(sent))
	return false
}

// upgrade asks for the echo.
func upgrade(c net.Conn, t *tally) (*bufio.Reader, error) {
	began := time.Now()
	_ = c.SetReadDeadline(began.Add(answerTimeout))
	if _, err := io.WriteString(c, "GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"); err != nil {
		return nil, err
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.New(resp.Status)
	}
	t.answered(time.Since(began), load.Server{PID: resp.Header.Get("X-Pid"), Generation: resp.Header.Get("X-Generation")})
	return r, nil
}

// readEcho compares what comes with what was sent.
func readEcho(c net.Conn, r *bufio.Reader, want io.Reader, sent <-chan chunk, t *tally) error {
	total, got, wanted := 0, make([]byte, maxChunk), make([]byte, maxChunk)
	for what := range sent {
		_ = c.SetReadDeadline(time.Now().Add(answerTimeout))
		n, err := io.ReadFull(r, got[:what.size])
		_, _ = want.Read(wanted[:what.size])
		switch {
		case err != nil:
			return fmt.Errorf("after %d bytes and %d of the next %d, sent %v ago: %w", total, n, what.size, time.Since(what.at), err)
		case !bytes.Equal(got[:n], wanted[:n]):
			return fmt.Errorf("another byte than was sent, within %d bytes after %d", n, total)
		}
		total += n
		t.answered(time.Since(what.at), load.Server{})
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	n, err := r.Read(got)
	switch {
	case n > 0:
		return fmt.Errorf("%d bytes more than were sent", n)
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("after all %d bytes: %w", total, err)
	}
	return nil
}
