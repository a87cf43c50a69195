package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// connections is how many ask, each when it has its answer.
const connections = 16

// patience is more than an answer takes.
const patience = time.Minute

var request = []byte("GET / HTTP/1.1\r\nHost: bench\r\n\r\n")

// conns never connect again: what goes wrong on one of them is lost.
type conns []net.Conn

func dial(ctx context.Context, addr string) (all conns, err error) {
	for range connections {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			all.close()
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func (c conns) close() {
	for _, conn := range c {
		_ = conn.Close()
	}
}

// load asks for a while, and scrapes if there are metrics: for the first time after half of the time between two.
func (r *running) load(ctx context.Context, d, every time.Duration) (asked, scraped int, err error) {
	end := time.Now().Add(d)
	counts, errs := make([]int, len(r.conns)), make([]error, len(r.conns)+1)
	var asking sync.WaitGroup
	for i, c := range r.conns {
		asking.Go(func() {
			var buf [512]byte
			_ = c.SetDeadline(end.Add(patience))
			for ctx.Err() == nil && time.Now().Before(end) && errs[i] == nil {
				errs[i] = ask(c, buf[:])
				counts[i]++
			}
		})
	}
	if r.metrics != "" {
		for next := time.Now().Add(every / 2); next.Before(end) && ctx.Err() == nil; next = next.Add(every) {
			select {
			case <-time.After(time.Until(next)):
				errs[len(r.conns)] = errors.Join(errs[len(r.conns)], scrape(ctx, r.metrics))
				scraped++
			case <-ctx.Done():
			}
		}
	}
	asking.Wait()
	for _, n := range counts {
		asked += n
	}
	return asked, scraped, errors.Join(errors.Join(errs...), ctx.Err())
}

// ask asks once. It allocates nothing.
func ask(c net.Conn, buf []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	for n := 0; ; {
		m, err := c.Read(buf[n:])
		if err != nil {
			return fmt.Errorf("after %d bytes of an answer: %w", n, err)
		}
		if n += m; bytes.HasSuffix(buf[:n], []byte("\r\n\r\n"+answer)) {
			break
		}
	}
	if !bytes.HasPrefix(buf, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("a wrong answer: %q", buf)
	}
	return nil
}

// scraper asks as Prometheus does, over a connection that stays.
var scraper = &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: patience}

// scrape asks for the metrics once, and does not read what they are.
func scrape(ctx context.Context, addr string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := scraper.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || n == 0) {
		err = fmt.Errorf("a scrape: %s, %d bytes", resp.Status, n)
	}
	return err
}
