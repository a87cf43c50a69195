package load

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// What a zero field of [Config] means.
const (
	DefaultTimeout  = 10 * time.Second
	DefaultBodySize = 256
)

// Config says where the load goes and of what kind it is. With the zero value of everything but Addr, one keep-alive
// client posts as fast as the server answers.
type Config struct {
	// Addr is what the clients dial: host and port, or a path if Network is "unix".
	Addr string

	// Network is "tcp" or "unix"; empty is "tcp".
	Network string

	// TLS makes the clients speak TLS. Without a ServerName the host of Addr is the name. HTTP/2 is offered only if
	// HTTP2 is set, whatever NextProtos says.
	TLS *tls.Config

	// HTTP2 makes the clients speak HTTP/2, in the clear if there is no TLS; false is HTTP/1.1. They post bodies,
	// Chunked in DATA frames of uneven size and without a Content-Length, and take an answer for theirs if it has the
	// body; of the fields that choose another kind of request or answer, Fresh included, none holds.
	HTTP2 bool

	// Streams is how many requests each client has at once on its connection, with HTTP2; zero is one.
	Streams int

	// Pipeline is how many requests each client may have on the way at once; zero is one. With it a client writes
	// without waiting for answers, in pieces that do not care where a request ends, bodies of any length up to
	// BodySize, and pauses for any time up to Think. Fresh, Expect, BodyPause and HeadPause mean nothing then.
	Pipeline int

	// Echo makes the clients ask Path for "Upgrade: echo", and send bodies alone from then on, which have to come back
	// as they are. It is pipelining in all else. Each body counts as a request, and names no server. False speaks HTTP
	// to the end.
	Echo bool

	// WebSocket is Echo by WebSocket: the client asks for "Upgrade: websocket", and each body is a message, which has
	// to come back as one. A server that says by a close frame that it leaves (1001 or 1012) makes what is on the way
	// [Left], and the client comes back. False is a stream of bytes.
	WebSocket bool

	// Clients is how many clients keep their connection, Fresh how many open one for each request. If both are zero
	// there is one that keeps it.
	Clients, Fresh int

	// Method is the request's method, empty is POST. A GET carries a body too, and so does a HEAD, unless NoBody is
	// set.
	Method string

	// Path is the request target with its query, empty is "/".
	Path string

	// Any takes every complete answer with a status below 500 for a good one: for a server that does not do what the
	// package comment asks of a handler. No body and no tag is sent, whatever the other fields say, so an answer that
	// belongs to another request is not seen. False wants the request's own answer.
	Any bool

	// BodySize is the length of each body in bytes, zero is DefaultBodySize. A body is never shorter than the tag that
	// makes it unique, some 60 bytes.
	BodySize int

	// NoBody sends requests without a body, so BodySize and the fields below that are about the body mean nothing;
	// false sends one.
	NoBody bool

	// Chunked sends the body in 8 chunks of uneven size; false sends it with a Content-Length. Trailer does so too,
	// and sends the tag once more in a trailer section behind the chunks; false sends none.
	Chunked, Trailer bool

	// Expect sends "Expect: 100-continue", and the body not before the server has asked for it by the interim answer;
	// false sends it right away.
	Expect bool

	// BodyPause makes an upload slow: the body is written in 8 pieces of uneven size, with Chunked each a chunk, and
	// this long a pause between two. Zero writes it at once. Seven pauses have to fit into Timeout.
	BodyPause time.Duration

	// HeadPause makes a slow client: the header is written in two pieces, and this long a pause between them. Zero
	// writes it at once.
	HeadPause time.Duration

	// Status is the status that the answers have to have, zero is 200. To make the server give it is Path's business.
	Status int

	// Think is how long a client waits between an answer and its next request; zero is not at all. With HTTP2 no stream of
	// the client is opened meanwhile.
	Think time.Duration

	// Timeout bounds one request, from before the dial to the answer's last byte; zero is DefaultTimeout. It must be
	// longer than the server's slowest honest answer, and so bounds how long Stop takes.
	Timeout time.Duration

	// Observe, if set, is told of every request as it ends. The clients call it concurrently and wait for it, so it
	// has to be quick.
	Observe func(Sample)
}

// Sample is one request, as its client saw it.
type Sample struct {
	Start   time.Time     // before the dial, if there was one
	Latency time.Duration // to the answer's last byte, or to the failure
	Client  int           // counted from 0, those that keep their connection first
	Dialed  bool          // a connection was established for this request
	Reused  bool          // the connection had carried a request before
	Local   net.Addr      // the client's end of the connection; nil if none was established
	Remote  net.Addr      // and the server's
	Server  Server        // which answered; empty for a failure before the header
	Err     error         // a *RequestError, or nil
}

// withDefaults returns the Config that the clients run on. The caller's tls.Config is not touched.
func (c Config) withDefaults() Config {
	if c.HTTP2 {
		c.Method, c.Status, c.Fresh = "", 0, 0
		c.Any, c.NoBody, c.Trailer, c.Expect, c.BodyPause, c.HeadPause = false, false, false, false, 0, 0
		c.Pipeline, c.Echo, c.WebSocket = 0, false, false
	}
	c.Echo = c.Echo || c.WebSocket
	if c.Echo {
		c.Method, c.Any, c.NoBody, c.Chunked, c.Trailer = "", false, false, false, false
		c.Pipeline = max(c.Pipeline, 1)
	}
	if c.Pipeline > 0 {
		c.Fresh, c.Expect, c.BodyPause, c.HeadPause = 0, false, 0, 0
	}
	c.NoBody = c.NoBody || c.Any
	c.Chunked = c.Chunked || c.Trailer
	if c.NoBody {
		c.Chunked, c.Trailer, c.Expect, c.BodyPause = false, false, false, 0
	}
	c.Network = cmp.Or(c.Network, "tcp")
	c.Method = cmp.Or(c.Method, http.MethodPost)
	c.Path = cmp.Or(c.Path, "/")
	c.BodySize = cmp.Or(c.BodySize, DefaultBodySize)
	c.Status = cmp.Or(c.Status, http.StatusOK)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	if c.Clients <= 0 && c.Fresh <= 0 {
		c.Clients = 1
	}
	if c.TLS != nil {
		c.TLS = c.TLS.Clone()
		c.TLS.NextProtos = nil
		if c.HTTP2 {
			c.TLS.NextProtos = []string{"h2"}
		}
		if c.TLS.ServerName == "" {
			c.TLS.ServerName, _, _ = net.SplitHostPort(c.Addr)
		}
	}
	return c
}

// host is what a request says in its Host header. RFC 9112, section 3.2, wants one in every request; a unix socket, or
// an address without a host, has none to give.
func (c Config) host() string {
	if host, _, err := net.SplitHostPort(c.Addr); c.Network == "unix" || err != nil || host == "" {
		return "localhost"
	}
	return c.Addr
}
