package publish

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"

	"github.com/gracex-go/gracex/release"
)

// describe looks at a file as a host does. name is the file's own, and prog that of the program in it. The size and the
// hash of the file itself are left out. An error about the content is an ErrRefused.
func describe(f *os.File, name, prog string) (file release.File, p program, err error) {
	file.File = name
	in := f
	if release.IsPacked(name) {
		if in, err = os.CreateTemp("", "gracex-unpacked-"); err != nil {
			return file, p, err
		}
		defer func() {
			_ = in.Close()
			os.Remove(in.Name())
		}()
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return file, p, err
		}
		if file.Unpacked, err = unpack(in, f, name, prog); err != nil {
			return file, p, err
		}
	}
	if p, err = inspect(in); err != nil {
		return file, p, refuse("%s: %w", name, err)
	}
	file.OS, file.Arch = p.os, p.arch
	return file, p, nil
}

// unpack writes the program to a file, and returns its size and its hash. A program for Windows ends in .exe.
func unpack(to, from *os.File, name, prog string) (*release.Content, error) {
	if goos, _ := systemByName(prog, name); goos == "windows" {
		prog += ".exe"
	}
	h := sha256.New()
	err := release.Unpack(io.MultiWriter(to, h), from, name, prog, release.DefaultMaxSize)
	if errors.Is(err, release.ErrNotAccepted) {
		return nil, refuse("%s", reason(err))
	}
	if err != nil {
		return nil, err
	}
	size, err := to.Seek(0, io.SeekCurrent)
	return &release.Content{Size: size, SHA256: hex.EncodeToString(h.Sum(nil))}, err
}

// programSum is the hash of the program in a file. It is empty if that is not known, as in a SHA256SUMS.
func programSum(f release.File) string {
	switch {
	case f.Unpacked != nil:
		return f.Unpacked.SHA256
	case release.IsPacked(f.File):
		return ""
	}
	return f.SHA256
}
