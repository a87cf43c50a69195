package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/internal/digest"
)

const (
	manifestFile = "release.json"
	sumsFile     = "SHA256SUMS"
	sigSuffix    = ".minisig"

	// newPrefix begins the names of files that are not whole yet. A later publish removes what it finds of them.
	newPrefix = ".gracex-new-"
)

// out is the folder that offers releases. One process at a time changes it.
type out struct {
	dir  string
	lock *os.File
}

func openOut(dir string) (*out, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a web server reads it
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	return &out{dir, lock}, nil
}

func (o *out) close() { unlockDir(o.lock) }

func (o *out) at(name string) string { return filepath.Join(o.dir, name) }

// tidy finishes a publish that was ended between the signature and the manifest, and removes what else it has left.
// genuine reports whether a signature is one of a manifest. An empty folder is found to be writable, or not, before
// anything is copied.
func (o *out) tidy(genuine func(raw, sig []byte) bool) (finished bool, err error) {
	for _, name := range []string{manifestFile, sumsFile} {
		raw, err := readSmall(o.at(newPrefix+name), release.MaxManifest)
		if err != nil {
			continue
		}
		if sig, err := readSmall(o.at(name+sigSuffix), release.MaxManifest); err == nil && genuine(raw, sig) {
			if err := os.Rename(o.at(newPrefix+name), o.at(name)); err != nil {
				return false, err
			}
			finished = true
		}
	}
	entries, err := os.ReadDir(o.dir)
	if err != nil {
		return finished, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), newPrefix) {
			if err := os.Remove(o.at(e.Name())); err != nil {
				return finished, err
			}
		}
	}
	probe, err := os.CreateTemp(o.dir, newPrefix)
	if err != nil {
		return finished, err
	}
	_ = probe.Close()
	return finished, errors.Join(os.Remove(probe.Name()), syncDir(o.dir))
}

// copyIn copies a file into the folder under another name, and returns that, its size and its hash.
func (o *out) copyIn(ctx context.Context, from io.Reader) (name string, size int64, sum string, err error) {
	to, err := os.CreateTemp(o.dir, newPrefix)
	if err != nil {
		return "", 0, "", err
	}
	name = filepath.Base(to.Name())
	sum, size, err = digest.Copy(ctx, to, from)
	if err == nil {
		err = finish(to)
	}
	if cerr := to.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(o.at(name))
		return "", 0, "", err
	}
	return name, size, sum, nil
}

// finish makes a file durable that a web server is to read.
func finish(f *os.File) error {
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	return f.Sync()
}

// write writes a small file beside its place.
func (o *out) write(name string, b []byte) error {
	f, err := os.OpenFile(o.at(newPrefix+name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = finish(f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// offer replaces the manifest and its signature, the manifest last. step is told after each rename.
//
// Two files can't be replaced at once. A host that comes between the two renames finds a signature that is not this
// manifest's, and asks again.
func (o *out) offer(name string, raw, sig []byte, step func(string)) (err error) {
	defer func() {
		if err != nil {
			os.Remove(o.at(newPrefix + name))
			os.Remove(o.at(newPrefix + name + sigSuffix))
		}
	}()
	err = errors.Join(o.write(name+sigSuffix, sig), o.write(name, raw), syncDir(o.dir))
	for _, n := range []string{name + sigSuffix, name} {
		if err != nil {
			return err
		}
		err = os.Rename(o.at(newPrefix+n), o.at(n))
		step(n)
	}
	if err != nil {
		return err
	}
	return syncDir(o.dir)
}

// pair reads a manifest and its signature. sig is empty if there is none.
func pair(file string) (raw, sig []byte, err error) {
	if raw, err = readSmall(file, release.MaxManifest); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	sig, err = readSmall(file+sigSuffix, release.MaxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return raw, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file+sigSuffix, err)
	}
	return raw, sig, nil
}
