// Package digest copies files, and says what their bytes are known by.
package digest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// Copy copies from the one to the other until the end or until ctx ends. It returns the SHA-256 of what was copied, in
// lower-case hex, and its size in bytes. [io.Discard] only hashes.
func Copy(ctx context.Context, to io.Writer, from io.Reader) (sum string, size int64, err error) {
	h := sha256.New()
	size, err = io.Copy(io.MultiWriter(to, h), reader{ctx, from})
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// reader ends with its context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}
