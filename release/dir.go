package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gracex-go/gracex/release/internal/fetch"
)

// manifests are the names that a manifest has at a source, the first one found counts. The signature's name has
// signatureExt behind that.
var manifests = []string{"release.json", "SHA256SUMS"}

const signatureExt = ".minisig"

// Dir is a folder with release.json and release.json.minisig, or SHA256SUMS and SHA256SUMS.minisig, and the files that
// they name, such as a network file system's. Who replaces the files should write the programs first, the signature
// next and the manifest last, each one by a rename.
func Dir(path string) Source { return dir(path) }

type dir string

func (d dir) String() string { return fetch.Printable(string(d)) }

// Head reads both files at each call. The tag is their content's.
func (d dir) Head(ctx context.Context, tag string) (Offer, error) {
	if err := ctx.Err(); err != nil {
		return Offer{}, d.error(err)
	}
	for _, name := range manifests {
		m, err := d.small(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Offer{}, err
		}
		sig, err := d.small(name + signatureExt)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Offer{}, err
		}
		o := Offer{Manifest: m, Signature: sig, Tag: contentTag(m, sig)}
		if o.Tag == tag {
			return Offer{}, ErrUnchanged
		}
		return o, nil
	}
	if _, err := os.Stat(string(d)); err != nil {
		return Offer{}, d.error(err)
	}
	return Offer{}, d.error(errNoManifest)
}

// errNoManifest is an origin that answers and has no release.
var errNoManifest = fmt.Errorf("there is neither %s nor %s", manifests[0], manifests[1])

// contentTag stands for the bytes of a manifest and its signature.
func contentTag(manifest, signature []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d\n", len(manifest)) // where the first one ends
	h.Write(manifest)
	h.Write(signature)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// small reads a manifest or a signature.
func (d dir) small(name string) ([]byte, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, d.error(err)
	}
	defer f.Close()
	b, err := fetch.ReadSmall(f, MaxManifest)
	if errors.Is(err, fetch.ErrTooLarge) {
		return nil, fmt.Errorf("%w: %s: %w", ErrNotAccepted, f.Name(), err)
	}
	if err != nil {
		return nil, d.error(err)
	}
	return b, nil
}

// open opens a file, and nothing that would wait for a writer, such as a pipe.
func (d dir) open(name string) (*os.File, error) {
	if err := fetch.CheckName(name); err != nil {
		return nil, err
	}
	path := filepath.Join(string(d), name)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file: %s", path, info.Mode())
	}
	return os.Open(path)
}

// Open implements Source.
func (d dir) Open(ctx context.Context, name string, at int64) (io.ReadCloser, int64, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, 0, d.error(err)
	}
	if info, err := f.Stat(); err != nil || at > info.Size() {
		at = 0 // the file is another one
	}
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		f.Close()
		return nil, 0, d.error(err)
	}
	return fetch.Body(ctx, f, d.error), at, nil
}

func (d dir) error(err error) error { return unavailable(d.String(), err) }

// unavailable is what a source returns that could not be asked, or has said no.
func unavailable(of string, err error) error {
	var wait *WaitError
	if errors.Is(err, ErrNotAccepted) || errors.As(err, &wait) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrNotTried, of, err)
}
