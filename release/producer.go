package release

import (
	"context"
	"io"
	"runtime/debug"
)

// What makes a release looks at it as a host will, by what is in this file.

// Genuine returns the manifest of an offer, and the key that has signed it; an empty one if there are no Keys and
// Unsigned is set. The error wraps ErrNotAccepted. Any goroutine can call it.
func (t Trust) Genuine(ctx context.Context, o Offer) (m Manifest, signer string, err error) {
	m, signer, err = t.verify(ctx, o)
	return m, signer, printableError(err)
}

// IsPacked reports whether a file of this name is an archive or compressed, so that a host unpacks it.
func IsPacked(file string) bool { return packing(file) != packedNot }

// Unpack writes to w the program that is in a packed file, as a host does. file is the packed file's name, and program
// that of the program in it. The error wraps ErrNotAccepted if there is no such program, or another one, or more
// than limit bytes, or what has no place in such an archive, such as a link.
func Unpack(w io.Writer, packed io.Reader, file, program string, limit int64) error {
	return printableError(unpack(packed, file, program, w, limit))
}

// ContainsGracex reports whether a program can be upgraded to: whether gracex is in it.
func ContainsGracex(info *debug.BuildInfo) bool { return containsGracex(info) }
