package load

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
)

const (
	tagField     = "X-Tag"     // where a request says its tag that has no body to be known by
	trailerField = "X-Trailer" // where a trailer section says it

	tagFormat = "%016x client %06d request %012d"

	alphabet = "abcdefghijklmnopqrstuvwxyz"

	// bodyPieces is how many pieces a body is cut into that is chunked or slow.
	bodyPieces = 8

	// minBuffer is room for what an answer says that should say nothing.
	minBuffer = 128
)

// request is what one client puts on the wire, again and again, with a tag that is another each time.
type request struct {
	cfg    Config
	client int
	nonce  uint64        // keeps tags apart that two runs send to one server
	asked  *http.Request // tells http.ReadResponse the method
	tagged bool          // the tag is in the header, and in the answer's
	pieces int           // that the body is cut into

	head []byte // the request line and the fields that never change
	body []byte // the tag, and what brings it to its length; empty without a body
	tag  []byte
	buf  []byte // where the answer's body goes; longer than that, so that an excess is seen

	wire   []byte // all of the request, as prepare has put it together
	bodyAt int    // where its body begins
	ends   []int  // where each write of it ends
}

func newRequest(cfg Config, client int, fresh bool) *request {
	q := &request{cfg: cfg, client: client, nonce: rand.Uint64(), asked: &http.Request{Method: cfg.Method}, pieces: 1}
	q.tagged = (cfg.NoBody || !q.echoed()) && !cfg.Any
	if cfg.Chunked || cfg.BodyPause > 0 {
		q.pieces = bodyPieces
	}
	if !cfg.NoBody {
		q.setTag(0)
		q.body = append(append(q.body, q.tag...), ' ')
		if missing := cfg.BodySize - len(q.body); missing > 0 {
			q.body = append(q.body, bytes.Repeat([]byte(alphabet), missing/len(alphabet)+1)[:missing]...)
		}
	}
	q.buf = make([]byte, max(len(q.body)+1, minBuffer))
	q.setHead(fresh)
	return q
}

// setHead makes the part of the header that all requests of the client share.
func (q *request) setHead(fresh bool) {
	cfg := &q.cfg
	line := func(format string, args ...any) { q.head = fmt.Appendf(q.head, format+"\r\n", args...) }
	line("%s %s HTTP/1.1", cfg.Method, cfg.Path)
	line("Host: %s", cfg.host())
	switch {
	case cfg.Chunked:
		line("Content-Type: text/plain")
		line("Transfer-Encoding: chunked")
	case len(q.body) > 0:
		line("Content-Type: text/plain")
		line("Content-Length: %d", len(q.body))
	case cfg.Method != http.MethodGet && cfg.Method != http.MethodHead:
		// RFC 9110, section 8.6: a method for which a body has a meaning says that there is none.
		line("Content-Length: 0")
	}
	if cfg.Trailer {
		line("Trailer: " + trailerField)
	}
	if cfg.Expect {
		line("Expect: 100-continue")
	}
	if fresh {
		line("Connection: close")
	}
}

// setTag makes the tag of the client's n-th request. It has a fixed width, so that every request is as long as the
// first.
func (q *request) setTag(n int) {
	q.tag = fmt.Appendf(q.tag[:0], tagFormat, q.nonce, q.client, n)
}

// tagLength is how long each tag is.
var tagLength = len(fmt.Sprintf(tagFormat, 0, 0, 0))

// TagOf returns the tag of a request as the server has it, with its body. It is empty for one that has none, as
// with [Config.Any].
func TagOf(r *http.Request, body []byte) string {
	if tag := r.Header.Get(tagField); tag != "" || len(body) < tagLength {
		return tag
	}
	return string(body[:tagLength])
}

// prepare puts the client's n-th request together.
func (q *request) prepare(n int) {
	q.setTag(n)
	copy(q.body, q.tag)

	q.wire = append(q.wire[:0], q.head...)
	if q.tagged {
		q.appendField(tagField)
	}
	q.wire = append(q.wire, "\r\n"...)
	q.bodyAt, q.ends = len(q.wire), q.ends[:0]

	for k, from := 1, 0; from < len(q.body); k++ {
		end := pieceEnd(len(q.body), k, q.pieces)
		if q.cfg.Chunked {
			q.wire = fmt.Appendf(q.wire, "%x\r\n", end-from)
		}
		q.wire = append(q.wire, q.body[from:end]...)
		if q.cfg.Chunked {
			q.wire = append(q.wire, "\r\n"...)
		}
		if q.cfg.BodyPause > 0 && k < q.pieces {
			q.ends = append(q.ends, len(q.wire))
		}
		from = end
	}
	if q.cfg.Chunked {
		q.wire = append(q.wire, "0\r\n"...)
		if q.cfg.Trailer {
			q.appendField(trailerField)
		}
		q.wire = append(q.wire, "\r\n"...)
	}
	q.ends = append(q.ends, len(q.wire))
}

// appendField puts the tag on the wire as a header field.
func (q *request) appendField(name string) {
	q.wire = append(append(append(append(q.wire, name...), ": "...), q.tag...), "\r\n"...)
}

// wanted is the body that the answer has to have.
func (q *request) wanted() []byte {
	if q.echoed() {
		return q.body
	}
	return nil
}

// echoed reports whether the answer has the request's body. It has none where RFC 9112, section 6.3, ends an answer
// with its header.
func (q *request) echoed() bool {
	status := q.cfg.Status
	return q.cfg.Method != http.MethodHead && status >= http.StatusOK &&
		status != http.StatusNoContent && status != http.StatusNotModified
}

// pieceEnd is where the k-th of n pieces ends, counted from 1. Each is longer than the one before, as there are no two
// equal ones to mix up then; with 8 the first is a 36th of the whole, and no body is so short that this is nothing.
func pieceEnd(size, k, n int) int {
	return size * k * (k + 1) / (n * (n + 1))
}
