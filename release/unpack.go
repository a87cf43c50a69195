package release

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/klauspost/compress/zstd"
)

type packed int

const (
	packedNot packed = iota
	packedTarGz
	packedTarZst
	packedGz
	packedZst
)

// packing says by a file's name how it is packed.
func packing(file string) packed {
	for _, p := range packings {
		if strings.HasSuffix(file, p.suffix) {
			return p.as
		}
	}
	return packedNot
}

var packings = []struct {
	suffix string
	as     packed
}{
	{".tar.gz", packedTarGz},
	{".tgz", packedTarGz},
	{".tar.zst", packedTarZst},
	{".gz", packedGz},
	{".zst", packedZst},
}

// unpackedName is the file's name without the suffix of what packs it.
func unpackedName(file string) string {
	for _, p := range packings {
		if name, ok := strings.CutSuffix(file, p.suffix); ok {
			return name
		}
	}
	return file
}

const (
	// maxWindow is how much memory a zstd frame can ask for, in bytes. "zstd --ultra -22" has 128 MiB.
	maxWindow = 128 << 20
	// maxEntries bounds the files in an archive, and maxBeside what they have beside the program, in bytes.
	maxEntries = 10_000
	maxBeside  = 64 << 20
)

// unpack writes the program that is in a packed file to w, at most limit bytes.
func unpack(in io.Reader, file, program string, w io.Writer, limit int64) error {
	how := packing(file)
	plain, err := decompress(in, how)
	if err != nil {
		return refuse("%s: %w", file, err)
	}
	defer plain.Close()
	switch how {
	case packedGz, packedZst:
		err = copyAll(w, plain, limit)
	default:
		err = untar(plain, program, w, limit)
	}
	var write *writeError
	if err != nil && !errors.As(err, &write) {
		return refuse("%s: %w", file, err)
	}
	return err
}

func decompress(in io.Reader, how packed) (io.ReadCloser, error) {
	if how == packedGz || how == packedTarGz {
		return gzip.NewReader(in)
	}
	d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxWindow), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// writeError is about this machine, and not about what is in the file.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

type writer struct{ w io.Writer }

func (w writer) Write(b []byte) (int, error) {
	n, err := w.w.Write(b)
	if err != nil {
		err = &writeError{err}
	}
	return n, err
}

// copyAll copies to the end, and refuses more than limit bytes.
func copyAll(w io.Writer, r io.Reader, limit int64) error {
	n, err := io.Copy(writer{w}, io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return err
	case n > limit:
		return fmt.Errorf("its program has more than %d bytes", limit)
	}
	return nil
}

// untar finds the one program in an archive. What could write elsewhere, or is not the same for every reader, is
// refused wherever it stands in the archive.
func untar(plain io.Reader, program string, w io.Writer, limit int64) error {
	all := &io.LimitedReader{R: plain, N: limit + maxBeside}
	tr := tar.NewReader(all)
	found := ""
	for n := 0; ; n++ {
		h, err := tr.Next()
		switch {
		case errors.Is(err, io.EOF) && found == "":
			return fmt.Errorf("no executable file in it has the name %s", program)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && all.N <= 0:
			return fmt.Errorf("unpacked it has more than %d bytes", limit+maxBeside)
		case err != nil:
			return err
		case n == maxEntries:
			return fmt.Errorf("more than %d files are in it", maxEntries)
		}
		if err := checkEntry(h); err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg || path.Base(h.Name) != program || h.Mode&0o111 == 0 {
			continue
		}
		if found != "" {
			return fmt.Errorf("two programs are in it, %q and %q", found, h.Name)
		}
		if found = h.Name; h.Size > limit {
			return fmt.Errorf("its program has %d bytes, and at most %d are allowed", h.Size, limit)
		}
		if err := copyAll(w, tr, limit); err != nil {
			return err
		}
	}
}

// checkEntry refuses what has no place in an archive with a program.
func checkEntry(h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeXGlobalHeader: // of git archive
		return nil
	case tar.TypeReg, tar.TypeDir:
	case tar.TypeSymlink, tar.TypeLink:
		return fmt.Errorf("%q is a link to %q, and links are not allowed", h.Name, h.Linkname)
	case tar.TypeGNUSparse:
		return fmt.Errorf("%q is sparse, which is not allowed", h.Name)
	default:
		return fmt.Errorf("%q is neither a file nor a directory (type %q)", h.Name, h.Typeflag)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return fmt.Errorf("%q is sparse, which is not allowed", h.Name)
		}
	}
	name := strings.TrimSuffix(h.Name, "/")
	switch {
	case path.IsAbs(name) || slices.Contains(strings.Split(name, "/"), ".."):
		return fmt.Errorf("%q leads out of the archive", h.Name)
	case strings.ContainsRune(name, '\\') || strings.IndexFunc(name, unicode.IsControl) >= 0:
		return fmt.Errorf("the name %q has control characters", h.Name)
	case h.Mode&0o7000 != 0 && h.Typeflag == tar.TypeReg:
		return fmt.Errorf("%q is setuid, setgid or sticky (mode %#o)", h.Name, h.Mode)
	}
	return nil
}
