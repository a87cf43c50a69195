package fetcher

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	defaultInterval = 5 * time.Minute
	// headTime bounds a request without a long answer.
	headTime = 30 * time.Second
	// stallTime is how long a transfer can stand still.
	stallTime = time.Minute
)

// get sends a request and returns its answer, a 200. The answer ends if it stands still, or after most, if that is not 0.
// The request says what it accepts, so that what comes is what lies there.
func get(req *http.Request, most time.Duration) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	stall := time.AfterFunc(headTime, func() { cancel(fmt.Errorf("no answer within %v", headTime)) })
	end := func() { stall.Stop(); cancel(nil) }
	if most > 0 {
		all := time.AfterFunc(most, func() { cancel(fmt.Errorf("not done within %v", most)) })
		stopped := end
		end = func() { all.Stop(); stopped() }
	}
	if req.Header.Get("Accept-Encoding") == "" {
		req.Header.Set("Accept-Encoding", "identity")
	}
	resp, err := http.DefaultClient.Do(req.WithContext(ctx))
	if err != nil {
		err = because(ctx, err)
		end()
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		end()
		return nil, &statusError{req.Method, req.URL.Redacted(), resp.StatusCode}
	}
	resp.Body = &moving{resp.Body, ctx, stall, end}
	return resp, nil
}

// statusError is an answer other than a 200.
type statusError struct {
	method, url string
	code        int
}

func (e *statusError) Error() string { return fmt.Sprintf("%s %s: status %d", e.method, e.url, e.code) }

// because has an error say why its context has ended.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// moving is the body of an answer, which ends when it stands still.
type moving struct {
	io.ReadCloser
	ctx   context.Context
	stall *time.Timer
	end   func()
}

func (m *moving) Read(b []byte) (int, error) {
	m.stall.Reset(stallTime)
	n, err := m.ReadCloser.Read(b)
	if err != nil && err != io.EOF { //nolint:errorlint // an io.Reader returns io.EOF itself
		err = because(m.ctx, err)
	}
	return n, err
}

func (m *moving) Close() error {
	defer m.end()
	return m.ReadCloser.Close()
}

// program is what an answer has in it: the file of this name, or what is in it if that is compressed.
func program(resp *http.Response, name string, whole func(), signature func() ([]byte, error)) (io.Reader, error) {
	b := &body{Reader: resp.Body, close: resp.Body.Close, whole: whole, signature: signature}
	if strings.HasSuffix(name, gz) || resp.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			_ = resp.Body.Close()
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		b.Reader = z
	}
	return b, nil
}

const gz = ".gz"

// signatureOf is the name of the signature of a program in a file of this name: that of the program itself, also if the
// file is compressed.
func signatureOf(name string) string { return strings.TrimSuffix(name, gz) + SignatureSuffix }

// small returns a short answer.
func small(req *http.Request) ([]byte, error) {
	resp, err := get(req, headTime)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return io.ReadAll(io.LimitReader(resp.Body, maxSignature))
}
