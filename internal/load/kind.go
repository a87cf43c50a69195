package load

import (
	"net/http"
	"time"
)

// slowPause is the pause between two pieces of a slow upload. Seven of them are long enough for a restart to begin and
// short enough for many uploads a test.
const slowPause = 20 * time.Millisecond

// Kind is one way to ask and to be answered.
type Kind struct {
	// Name is short, and fit for a subtest.
	Name string

	// Config has those fields set that make the kind; the caller sets the address and how many clients there are. The
	// Path may get more of a query.
	Config Config
}

// Kinds lists the ways of asking that a server has to serve alike. The package comment says what its handler has to do
// for it.
func Kinds() []Kind {
	return []Kind{
		{"post", Config{}},
		{"get", Config{Method: http.MethodGet, NoBody: true}},
		{"head", Config{Method: http.MethodHead, NoBody: true}},
		{"304", Config{Method: http.MethodGet, NoBody: true, Path: "/?status=304", Status: http.StatusNotModified}},
		{"chunked", Config{Chunked: true}},
		{"trailers", Config{Trailer: true}},
		{"expect", Config{Expect: true}},
		{"1MiB", Config{BodySize: 1 << 20}},
		{"slow upload", Config{BodyPause: slowPause}},
	}
}
