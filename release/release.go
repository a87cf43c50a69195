package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Release is a release that is durable in releases/.
type Release struct {
	ID      string    `json:"id"` // the directory's name in releases/: the version and 8 digits of the SHA-256
	Version string    `json:"version"`
	Serial  int64     `json:"serial,omitempty"` // 0 for a file at hand
	SHA256  string    `json:"sha256"`           // of the program
	Packed  string    `json:"packed,omitempty"` // SHA-256 of the file that it came in, if that was another one
	Size    int64     `json:"size"`             // of the program, in bytes
	Source  string    `json:"source"`           // where it came from
	Signer  string    `json:"signer,omitempty"` // the key that has signed it; empty for none
	Staged  time.Time `json:"staged"`
}

// idDigits is how many digits of the SHA-256 are in the name of a release.
const idDigits = 8

// idOf returns the name of a release's directory: the same bytes have the same place.
func idOf(version, sum string) string { return version + "-" + sum[:idDigits] }

// Release returns the release of this name, one of those in releases/. Its files are not looked at.
func (s *Store) Release(id string) (Release, error) {
	r, err := s.staged(id)
	return r, printableError(err)
}

func (s *Store) staged(id string) (r Release, err error) {
	if !isID(id) {
		return r, fmt.Errorf("release: %q is no release", id)
	}
	f, err := s.root.Open(filepath.Join(releasesDir, id, stagedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("release: %s is not in %s", id, s.at(releasesDir))
	}
	if err != nil {
		return r, notNow("%w", err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, MaxManifest))
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err == nil && (r.ID != id || checkSum(id, r.SHA256) != nil || idOf(r.Version, r.SHA256) != id) {
		err = errors.New("it is about another release")
	}
	if err != nil {
		return r, notNow("%s: %w", s.at(releasesDir, id, stagedFile), err)
	}
	return r, nil
}

// Releases returns all that are in releases/, in the order of their names. One whose staged.json can't be read is
// left out.
func (s *Store) Releases() ([]Release, error) {
	dir, err := s.root.Open(releasesDir)
	if err != nil {
		return nil, notNow("%w", err)
	}
	defer func() { _ = dir.Close() }()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, notNow("%w", err)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	var all []Release
	for _, e := range entries {
		if r, err := s.staged(e.Name()); err == nil {
			all = append(all, r)
		}
	}
	return all, nil
}
