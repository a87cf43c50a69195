//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// source reads a stream as the EventSource of a browser does: https://html.spec.whatwg.org/multipage/server-sent-events.html
type source struct {
	url    string
	client *http.Client
	event  func(data string) error

	seen  string        // the id of the last event; in Last-Event-ID
	retry time.Duration // before it comes back

	dials   atomic.Int64
	streams atomic.Int64 // that the server has begun
	missed  atomic.Int64 // times that it did not answer
	ends    chan end
}

// end is how a stream has ended.
type end struct {
	err   error         // nil for an answer that is whole
	retry time.Duration // as the stream has said last
}

func newSource(t *testing.T, addr string, event func(data string) error) *source {
	s := &source{url: "http://" + addr + "/events", event: event, retry: 5 * time.Second, ends: make(chan end, 100)}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		s.dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	s.client = &http.Client{Transport: transport}
	return s
}

// run returns nil when ctx ends, or an error with which an EventSource does not come back.
func (s *source) run(ctx context.Context) error {
	for {
		if err := s.read(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-time.After(s.retry):
		case <-ctx.Done():
			return nil
		}
	}
}

// read reads one stream.
func (s *source) read(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return err
	}
	if s.seen != "" {
		req.Header.Set("Last-Event-ID", s.seen)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.missed.Add(1)
		return nil
	}
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		return fmt.Errorf("the answer is %s, %s", resp.Status, kind)
	}
	s.streams.Add(1)
	return s.parse(bufio.NewReader(resp.Body))
}

// parse takes what a stream has. An event that is not whole is none.
func (s *source) parse(in *bufio.Reader) error {
	id := s.seen
	var data []string
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			s.ends <- end{err, s.retry}
			return nil
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "": // the end of an event, or a comment
			if line != "" {
				continue
			}
			s.seen = id
			if data != nil {
				if err := s.event(strings.Join(data, "\n")); err != nil {
					return err
				}
			}
			data = nil
		case "id":
			id = value
		case "data":
			data = append(data, value)
		case "retry":
			ms, err := strconv.Atoi(value)
			if err != nil {
				return fmt.Errorf("retry: %w", err)
			}
			s.retry = time.Duration(ms) * time.Millisecond
		}
	}
}
