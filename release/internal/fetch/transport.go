package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	// HeaderTimeout is how long an origin may take from the request to the header of its answer.
	HeaderTimeout = 30 * time.Second

	// StallTimeout is how long an origin may take for the next StallBytes of a body. The time that the reader takes
	// between two reads is not counted.
	StallTimeout = 60 * time.Second

	// StallBytes is what makes progress. One byte a minute would be a download without an end.
	StallBytes = 4 << 10
)

// TimeoutError is an origin that does not go on. It is a [net.Error] whose Timeout is true.
type TimeoutError string

func (t TimeoutError) Error() string { return string(t) }

// Timeout implements [net.Error].
func (TimeoutError) Timeout() bool { return true }

// Temporary implements [net.Error].
func (TimeoutError) Temporary() bool { return true }

var (
	_ net.Error = TimeoutError("")

	errNoAnswer = TimeoutError(fmt.Sprintf("no answer within %v", HeaderTimeout))
	errStalled  = TimeoutError(fmt.Sprintf("the transfer stands still: less than %d bytes in %v", StallBytes, StallTimeout))
)

// NewTransport returns a transport that takes proxies from the environment and does not undo a content encoding, because
// the bytes that arrive are the ones that were signed.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true,
		MaxIdleConnsPerHost:   2,
		IdleConnTimeout:       30 * time.Second, // a follower asks each few minutes
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// Transport is Base with an end for an origin that does not answer, or stops in the middle of a body.
type Transport struct {
	Base http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(HeaderTimeout, func() { cancel(errNoAnswer) })
	resp, err := t.Base.RoundTrip(req.WithContext(ctx))
	timer.Stop()
	if err != nil {
		if errors.Is(context.Cause(ctx), errNoAnswer) {
			err = errNoAnswer
		}
		cancel(nil)
		return nil, err
	}
	note(req.Context(), resp)
	resp.Body = &body{
		rc: resp.Body, ctx: ctx, cancel: cancel, left: StallTimeout,
		timer: stopped(func() { cancel(errStalled) }),
	}
	return resp, nil
}

// CloseIdleConnections is for [http.Client.CloseIdleConnections].
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.Base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// stopped returns a timer for f that does not run yet.
func stopped(f func()) *time.Timer {
	t := time.AfterFunc(time.Hour, f)
	t.Stop()
	return t
}

// body ends when its origin stands still.
type body struct {
	rc     io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	left   time.Duration // for the bytes that are missing to StallBytes
	got    int           // of StallBytes
}

func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(b.left)
	begin := time.Now()
	n, err := b.rc.Read(p)
	b.timer.Stop()
	b.left = max(b.left-time.Since(begin), time.Nanosecond)
	if b.got += n; b.got >= StallBytes {
		b.left, b.got = StallTimeout, 0
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = Late(b.ctx, err)
	}
	return n, err
}

func (b *body) Close() error {
	b.timer.Stop()
	err := b.rc.Close()
	b.cancel(nil)
	return err
}

// SmallTimeout is how long a manifest, a signature or an answer of an API can take altogether.
const SmallTimeout = 60 * time.Second

var errSmall = TimeoutError(fmt.Sprintf("no whole answer within %v", SmallTimeout))

// WithSmallTimeout returns a context that ends after SmallTimeout.
func WithSmallTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, SmallTimeout, errSmall)
}

// Late is err, or the TimeoutError that has ended ctx.
func Late(ctx context.Context, err error) error {
	var t TimeoutError
	if err != nil && errors.As(context.Cause(ctx), &t) {
		return t
	}
	return err
}

// Body is a body whose errors go through explain, and that ends with ctx even if its bytes are here already.
func Body(ctx context.Context, rc io.ReadCloser, explain func(error) error) io.ReadCloser {
	return &explained{ctx, rc, explain}
}

type explained struct {
	ctx     context.Context
	rc      io.ReadCloser
	explain func(error) error
}

func (e *explained) Read(p []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, e.explain(err)
	}
	n, err := e.rc.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = e.explain(err)
	}
	return n, err
}

func (e *explained) Close() error { return e.rc.Close() }
