package fetcher

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"
)

// checkHeaders are the headers of which a change means another program.
var checkHeaders = []string{"ETag", "If-Modified-Since", "Last-Modified", "Content-Length"}

// HTTP asks for the headers of URL, and gets it when they have changed. The first time it always does. A URL that ends in
// .gz is decompressed.
//
// The signature of https://dl.example.org/shop-linux-amd64.gz is at https://dl.example.org/shop-linux-amd64.minisig, and
// is the signature of the program itself, not of the compressed file.
type HTTP struct {
	URL      string
	Interval time.Duration // between two looks; 0: 5 min
	// CheckHeaders are those of which a change means another program; nil: ETag, Last-Modified and Content-Length. An
	// answer without any of them is got each time.
	CheckHeaders []string

	delay bool
	lasts map[string]string
}

// Init checks URL and sets the rest.
func (h *HTTP) Init() error {
	if h.URL == "" {
		return errors.New("fetcher.HTTP needs a URL")
	}
	if _, err := url.Parse(h.URL); err != nil {
		return err
	}
	if h.Interval == 0 {
		h.Interval = defaultInterval
	}
	if h.CheckHeaders == nil {
		h.CheckHeaders = checkHeaders
	}
	h.lasts = map[string]string{}
	return nil
}

// Fetch waits for Interval, but not the first time, and returns the program if its headers have changed since one was
// read to its end.
func (h *HTTP) Fetch() (io.Reader, error) {
	if h.delay {
		time.Sleep(h.Interval)
	}
	h.delay = true
	head, err := h.request(http.MethodHead, h.URL)
	if err != nil {
		return nil, err
	}
	resp, err := get(head, headTime)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	if now := h.stamp(resp); len(now) > 0 && maps.Equal(now, h.lasts) {
		return nil, nil
	}
	req, err := h.request(http.MethodGet, h.URL)
	if err != nil {
		return nil, err
	}
	if resp, err = get(req, 0); err != nil {
		return nil, err
	}
	got := h.stamp(resp) // of what comes now: another one can have been published since
	return program(resp, req.URL.Path, func() { h.lasts = got }, func() ([]byte, error) {
		at := *req.URL
		at.Path, at.RawPath = signatureOf(at.Path), ""
		req, err := h.request(http.MethodGet, at.String())
		if err != nil {
			return nil, err
		}
		return small(req)
	})
}

func (h *HTTP) request(method, url string) (*http.Request, error) {
	return http.NewRequestWithContext(context.Background(), method, url, http.NoBody)
}

// stamp is the part of an answer's header that stands for the program.
func (h *HTTP) stamp(resp *http.Response) map[string]string {
	now := map[string]string{}
	for _, name := range h.CheckHeaders {
		if v := resp.Header.Get(name); v != "" {
			now[name] = v
		}
	}
	return now
}
