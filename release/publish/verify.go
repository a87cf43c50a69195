package publish

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/internal/digest"
)

// Verified is what a release was found to be.
type Verified struct {
	Manifest release.Manifest
	Signer   string // the public key that has signed it
	Files    []VerifiedFile
}

// VerifiedFile is a file of a release.
type VerifiedFile struct {
	release.File
	Missing bool  // it is not here, so nothing is known about it
	Err     error // what is wrong with it; nil if it is right or missing
}

// Verify looks at a release in a folder, or at the manifest of this path with what is beside it, as a host with these
// public keys does. An empty program is the one with the product's name. The error wraps ErrRefused if a host would
// refuse the release, or one of its files; Verified then says which.
func Verify(ctx context.Context, path string, keys []string, program string) (v Verified, err error) {
	if fi, err := os.Stat(path); err != nil {
		return v, err
	} else if fi.IsDir() {
		dir := path
		path = filepath.Join(dir, manifestFile)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			path = filepath.Join(dir, sumsFile)
		}
	}
	raw, sig, err := pair(path)
	if err != nil {
		return v, err
	}
	if v.Manifest, v.Signer, err = genuine(ctx, raw, sig, keys, ""); err != nil {
		return v, err
	}
	if program == "" {
		program = v.Manifest.Name
	}
	for _, f := range v.Manifest.Files {
		checked := VerifiedFile{File: f}
		checked.Err = verifyFile(ctx, filepath.Join(filepath.Dir(path), f.File), f, program)
		if errors.Is(checked.Err, fs.ErrNotExist) {
			checked.Err, checked.Missing = nil, true
		}
		if checked.Err != nil && !errors.Is(checked.Err, ErrRefused) {
			return v, checked.Err
		}
		if checked.Err != nil && err == nil {
			err = checked.Err
		}
		v.Files = append(v.Files, checked)
	}
	return v, err
}

// verifyFile compares a file with what the manifest says.
func verifyFile(ctx context.Context, path string, want release.File, program string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	sum, size, err := digest.Copy(ctx, io.Discard, f)
	if err != nil {
		return err
	}
	if sum != want.SHA256 || want.Size > 0 && size != want.Size {
		return refuse("%s has %d bytes with SHA-256 %s, and the manifest says %d with %s", want.File, size, sum, want.Size, want.SHA256)
	}
	got, _, err := describe(f, want.File, program)
	switch {
	case err != nil:
		return err
	case got.OS != want.OS || got.Arch != want.Arch:
		return refuse("%s is for %s/%s, and the manifest says %s/%s", want.File, got.OS, got.Arch, want.OS, want.Arch)
	case want.Unpacked != nil && *got.Unpacked != *want.Unpacked:
		return refuse("the program in %s has %d bytes with SHA-256 %s, and the manifest says %d with %s",
			want.File, got.Unpacked.Size, got.Unpacked.SHA256, want.Unpacked.Size, want.Unpacked.SHA256)
	}
	return nil
}
