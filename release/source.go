package release

import (
	"context"
	"errors"
	"io"
	"time"
)

// ErrUnchanged means that a source offers what it offered before.
var ErrUnchanged = errors.New("release: the source offers nothing new")

// Source is where releases come from. Nothing that it says is trusted, see [Trust].
//
// An error that wraps [ErrNotTried] is one that may be gone later: the origin is away, or it refuses this client.
type Source interface {
	// Head returns what is offered. It returns ErrUnchanged if that is still what tag stands for, the Tag of an
	// earlier Offer. The empty tag stands for nothing: the offer is read anew, past the caches on the way.
	//
	// A manifest and its signature can be two requests, and what is published in between makes them a pair that does
	// not fit. So a caller whose check of the signature has failed waits a little and asks once more, with the empty
	// tag, before it says so.
	Head(ctx context.Context, tag string) (Offer, error)

	// Open reads a file that the manifest names, from byte at on. The source can begin earlier, at byte from. The
	// caller closes the body, and reads no more of it than the manifest has promised.
	Open(ctx context.Context, name string, at int64) (body io.ReadCloser, from int64, err error)

	// String returns where the releases come from, for messages and for the history. It has no secret in it.
	String() string
}

// Offer is what a source has.
type Offer struct {
	Manifest  []byte // release.json or SHA256SUMS, at most MaxManifest bytes
	Signature []byte // minisign's, of Manifest; empty if there is none

	// Tag stands for the offer in the next Head: an HTTP ETag, the digest of an OCI manifest, or the like. It can save
	// a request and decides nothing: nginx gives two files of one size and second the same ETag. Only the tag of an
	// offer whose signature was good is to be remembered.
	Tag string

	// NotBefore is how long the source wants to be left alone, by Retry-After or X-RateLimit-Reset. 0 means that it
	// has not said.
	NotBefore time.Duration
}

// MaxManifest is how large a manifest can be, in bytes, and a signature.
const MaxManifest = 64 << 10
