// Package fetcher has the surface of github.com/jpillora/overseer/fetcher: where new versions of a program come from.
// It needs the standard library alone, S3 included.
package fetcher

import "io"

// Interface is where new versions of a program come from. Its methods are called by one goroutine at a time.
type Interface interface {
	// Init checks the fields, once in each process, before the program serves. An error disables the fetcher.
	Init() error

	// Fetch returns the program that is to run, a nil reader if there is nothing new, or an error. It is called again
	// and again, and waits itself between two looks. What runs already, and what was bad, is recognized by its content,
	// so Fetch can return it again. If the reader is an io.Closer, it is closed. It is read to its end or closed early,
	// and what was not read to its end has not been used: a later Fetch has to return it again.
	Fetch() (io.Reader, error)
}

// Signed is a reader from Fetch that has a signature. Signature is called when the reader has been read to its end and
// closed, and returns what "minisign -S" has made for the program: the bytes of the .minisig file.
type Signed interface {
	io.Reader
	Signature() ([]byte, error)
}

// SignatureSuffix is what the name of a program's signature ends in, as minisign names it.
const SignatureSuffix = ".minisig"

// maxSignature bounds a signature, in bytes.
const maxSignature = 64 << 10

// Func makes a fetcher of the function Fetch.
func Func(fn func() (io.Reader, error)) Interface { return &funcFetcher{fn} }

type funcFetcher struct{ fn func() (io.Reader, error) }

func (f *funcFetcher) Init() error { return nil }

func (f *funcFetcher) Fetch() (io.Reader, error) { return f.fn() }

// body is a program that is being read.
type body struct {
	io.Reader
	close     func() error
	whole     func()                 // called once, when all of it was read; nil for nothing
	signature func() ([]byte, error) // nil: there is none
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF && b.whole != nil {
		b.whole()
		b.whole = nil
	}
	return n, err
}

func (b *body) Close() error { return b.close() }

func (b *body) Signature() ([]byte, error) { return b.signature() }
