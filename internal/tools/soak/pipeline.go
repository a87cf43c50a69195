package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// depth is how many requests a pipelining client has on the way at most.
const depth = 32

// piped is a request on its way.
type piped struct {
	tag, body string
	at        time.Time
}

// pipeline sends requests without waiting for answers, in pieces that do not care
// where a request ends, and checks that each has its answer, in this order.
func pipeline(c net.Conn, rng *rand.Rand, t *tally, stop <-chan struct{}) bool {
	if !pause(upTo(200*time.Millisecond, rng), stop) { // idle, and never used
		return true
	}
	sent := make(chan piped, depth)
	room := make(chan struct{}, depth) // what is sent and has no answer
	gone := make(chan struct{})        // the reader has given up
	go func() {
		defer close(sent)
		for n := 0; ; {
			var batch strings.Builder
			for range 1 + rng.IntN(depth/2) {
				select {
				case room <- struct{}{}:
				case <-gone:
					return
				}
				q := piped{tag: fmt.Sprintf("%v %d", c.LocalAddr(), n), at: time.Now()}
				n++
				q.body = q.write(&batch, rng)
				sent <- q
			}
			if !writePieces(c, batch.String(), rng) {
				return // the reader will notice too
			}
			if !pause(upTo(30*time.Millisecond, rng), stop) {
				return
			}
		}
	}()
	err := readAnswers(c, sent, room, t)
	if err == nil {
		return true
	}
	close(gone)
	t.lost(c, err, rest(sent))
	return false
}

// write puts the request together and returns the body that the answer has to have.
func (q piped) write(b *strings.Builder, rng *rand.Rand) (body string) {
	takes := ""
	if rng.IntN(50) == 0 {
		takes = "?d=20ms"
	}
	head := func(method string) {
		fmt.Fprintf(b, "%s /%s HTTP/1.1\r\nHost: localhost\r\nX-Tag: %s\r\n", method, takes, q.tag)
	}
	switch rng.IntN(3) {
	case 0:
		head(http.MethodGet)
		b.WriteString("\r\n")
	case 1:
		body = q.tag + strings.Repeat(".", rng.IntN(8<<10))
		head(http.MethodPost)
		fmt.Fprintf(b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	default:
		body = q.tag + strings.Repeat(":", rng.IntN(2<<10))
		half := rng.IntN(len(body)-1) + 1
		head(http.MethodPost)
		fmt.Fprintf(b, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n",
			half, body[:half], len(body)-half, body[half:])
	}
	return body
}

// writePieces writes in up to four pieces, sometimes with pauses.
func writePieces(w io.Writer, s string, rng *rand.Rand) bool {
	for pieces := rng.IntN(4); pieces > 0 && len(s) > 0; pieces-- {
		n := rng.IntN(len(s))
		if _, err := io.WriteString(w, s[:n]); err != nil {
			return false
		}
		s = s[n:]
		if rng.IntN(2) == 0 {
			time.Sleep(upTo(5*time.Millisecond, rng))
		}
	}
	_, err := io.WriteString(w, s)
	return err == nil
}

func readAnswers(c net.Conn, sent <-chan piped, room <-chan struct{}, t *tally) error {
	r, newest := bufio.NewReader(c), 0
	for q := range sent {
		_ = c.SetReadDeadline(time.Now().Add(answerTimeout))
		by, err := q.read(r)
		if err != nil {
			return fmt.Errorf("request %q, sent %v ago: %w", q.tag, time.Since(q.at), err)
		}
		n, err := strconv.Atoi(by.Generation)
		if err != nil || n < newest {
			t.verdict.fail(checkOrder, "%s: generation %q answers after %d", t.row, by.Generation, newest)
		}
		newest = max(n, newest)
		t.answered(time.Since(q.at), by)
		<-room
	}
	if r.Buffered() > 0 {
		return fmt.Errorf("%d bytes after the last answer", r.Buffered())
	}
	return nil
}

// read reads the answer to the request, and nothing else.
func (q piped) read(r *bufio.Reader) (by load.Server, err error) {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return by, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	by = load.Server{PID: resp.Header.Get("X-Pid"), Generation: resp.Header.Get("X-Generation")}
	switch {
	case err != nil:
		return by, fmt.Errorf("%s %v, after %d bytes of the body, %.200q: %w", resp.Status, resp.Header, len(body), body, err)
	case resp.StatusCode != http.StatusOK:
		return by, fmt.Errorf("generation %s: %s", by.Generation, resp.Status)
	case resp.Header.Get("X-Tag") != q.tag:
		return by, fmt.Errorf("generation %s: the answer is to %q", by.Generation, resp.Header.Get("X-Tag"))
	case string(body) != q.body:
		return by, fmt.Errorf("generation %s: got %d bytes %.80q, want %d bytes %.80q", by.Generation, len(body), body, len(q.body), q.body)
	case resp.Close:
		return by, errors.New("generation " + by.Generation + ": the connection is to be closed")
	}
	return by, nil
}
