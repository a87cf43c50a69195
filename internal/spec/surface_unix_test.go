//go:build unix

package spec_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// visitor asks an app for what it has. It reports errors instead of failing its test, because some visit in a goroutine
// of their own.
type visitor struct {
	client *http.Client
	url    string
}

// request is one of a visitor's, and what must come back.
type request struct {
	method, path string
	header       http.Header
	body         string
	status       int
	want         string // the answer's body; empty: anything
}

// requests are the app's surface but for streams and held requests.
func requests() []request {
	json := http.Header{"Content-Type": {"application/json"}}
	basic := func(pass string) http.Header {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(admin, pass)
		return r.Header
	}
	form, kind := uploadForm()
	return []request{
		{"GET", "/", nil, "", 200, ""},
		{"POST", "/", nil, "as it is", 200, "as it is"},
		{"GET", "/users/4711", nil, "", 200, `{"id":"4711"}`},
		{"POST", "/users", json, `{"age":30,"name":"ann"}`, 201, `{"name":"ann","age":30}`},
		{"POST", "/users", json, `{"name":`, 400, ""},                // can't be bound
		{"POST", "/users", json, `{"name":"ann","age":-1}`, 400, ""}, // is not valid
		{"GET", "/admin/", nil, "", 401, ""},
		{"GET", "/admin/", basic("guess"), "", 401, ""},
		{"GET", "/admin/", basic(password), "", 200, admin},
		{"GET", "/panic", nil, "", 500, ""},
		{"POST", "/upload", http.Header{"Content-Type": {kind}}, form, 200, "file.txt: " + uploaded},
		{"GET", "/static/hello.txt", nil, "", 200, hello},
		{"GET", "/static/bye.txt", nil, "", 404, ""},
		{"GET", "/nowhere", nil, "", 404, ""},
	}
}

// uploaded is long enough that a handler sees it in parts.
var uploaded = strings.Repeat("a line of a file\n", 10000)

func uploadForm() (body, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, _ := w.CreateFormFile("file", "file.txt") // a bytes.Buffer takes everything
	_, _ = io.WriteString(part, uploaded)
	_ = w.Close()
	return b.String(), w.FormDataContentType()
}

// all asks for everything, and checks that one of the generations from oldest on has answered.
func (v visitor) all(oldest int) error {
	var errs []error
	for _, r := range requests() {
		if err := v.ask(r, oldest); err != nil {
			errs = append(errs, fmt.Errorf("%s %s %.80q: %w", r.method, r.path, r.body, err))
		}
	}
	s, err := v.openStream()
	if err == nil {
		err = s.finish()
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("stream: %w", err))
	}
	return errors.Join(errs...)
}

func (v visitor) ask(r request, oldest int) error {
	req, err := http.NewRequest(r.method, v.url+r.path, strings.NewReader(r.body))
	if err != nil {
		return err
	}
	req.GetBody = nil // so that http.Transport can't send it twice
	if r.header != nil {
		req.Header = r.header
	}
	resp, err := v.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != r.status || r.want != "" && strings.TrimSpace(string(body)) != strings.TrimSpace(r.want) {
		return fmt.Errorf("answer %s %.1000q, want %d %.1000q", resp.Status, body, r.status, r.want)
	}
	gen, err := strconv.Atoi(resp.Header.Get("X-Generation"))
	if err != nil || gen < oldest {
		return fmt.Errorf("generation %q answered; want %d or later", resp.Header.Get("X-Generation"), oldest)
	}
	return nil
}

// openedStream is an answer that comes in pieces, each when the test says so.
type openedStream struct {
	resp *http.Response
	pace net.Conn
	sent int
}

// openStream returns when the first piece has come.
func (v visitor) openStream() (*openedStream, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		if conn, err := ln.Accept(); err == nil {
			_, _ = conn.Write(piece(0)) // which is missed, if it fails
			accepted <- conn
		}
	}()
	resp, err := v.client.Get(v.url + "/stream?pace=" + ln.Addr().String())
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, errors.New(resp.Status)
	}
	s := &openedStream{resp: resp, pace: <-accepted, sent: 1}
	return s, s.expect(0)
}

// piece is the n-th piece of a stream.
func piece(n int) []byte { return fmt.Appendf(nil, "piece %d\n", n) }

// expect reads the n-th piece: were it not flushed, it would not come.
func (s *openedStream) expect(n int) error {
	got := make([]byte, len(piece(n)))
	if _, err := io.ReadFull(s.resp.Body, got); err != nil || !bytes.Equal(got, piece(n)) {
		return fmt.Errorf("%q, %w; want %q", got, err, piece(n))
	}
	return nil
}

// finish sends some more pieces, one by one, and ends the stream.
func (s *openedStream) finish() error {
	defer s.close()
	for end := s.sent + 3; s.sent < end; s.sent++ {
		if _, err := s.pace.Write(piece(s.sent)); err != nil {
			return err
		}
		if err := s.expect(s.sent); err != nil {
			return err
		}
	}
	s.pace.Close()
	if rest, err := io.ReadAll(s.resp.Body); err != nil || len(rest) > 0 {
		return fmt.Errorf("behind the last piece: %q, %w", rest, err)
	}
	return nil
}

func (s *openedStream) close() {
	s.pace.Close()
	s.resp.Body.Close()
}
