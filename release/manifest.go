package release

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Manifest is what the signature is for: all that a mirror must not be able to change. The file release.json has it.
type Manifest struct {
	Name    string    `json:"name"`              // the product, as in Trust
	Version string    `json:"version"`           // for people; the order is that of Serial
	Serial  int64     `json:"serial"`            // rises with each release; at least 1
	Time    time.Time `json:"time,omitzero"`     // when it was published; the waves count from it
	Expires time.Time `json:"expires,omitzero"`  // no longer offered after that; zero: never. It never stops what runs
	Files   []File    `json:"files"`             // one for each system
	Waves   []Wave    `json:"waves,omitempty"`   // none: for all at once
	Paused  bool      `json:"paused,omitempty"`  // nobody starts it, nor an earlier one
	Revoked []string  `json:"revoked,omitempty"` // SHA-256 of programs that nobody is to start again
}

// File is the release for one operating system and architecture.
type File struct {
	OS     string `json:"os"`     // as GOOS
	Arch   string `json:"arch"`   // as GOARCH
	File   string `json:"file"`   // its name at the source, without a folder
	Size   int64  `json:"size"`   // in bytes; 0 only in a SHA256SUMS: not known
	SHA256 string `json:"sha256"` // in hex, in lower case

	// Unpacked is the program in File, if that is an archive (.tar.gz, .tar.zst) or compressed (.gz, .zst).
	Unpacked *Content `json:"unpacked,omitempty"`
}

// Content is the size and the hash of a program.
type Content struct {
	Size   int64  `json:"size"`   // in bytes
	SHA256 string `json:"sha256"` // in hex, in lower case
}

// Wave is a part of all hosts.
type Wave struct {
	Share float64 `json:"share"` // of all hosts, from 0 to 1, with those of the waves before
	After string  `json:"after"` // a time.Duration, counted from Manifest.Time
}

// Limits of a manifest. What is beyond them is no release, but an attempt to take the host's memory or disk.
const (
	maxName    = 64      // bytes of a product's name, and of a version
	maxFile    = 255     // bytes of a file's name: NAME_MAX of Linux
	maxFiles   = 256     // systems in a manifest
	maxWaves   = 64      //
	maxRevoked = 512     // 64 KiB have room for no more
	maxSize    = 1 << 40 // bytes of a file
	maxDepth   = 16      // of JSON values in one another
)

// ParseManifest reads a release.json.
//
// A field that it does not know is no error, so that a host with an older version reads a manifest to which a later one
// has added something. A field that is there twice is one, also if the two differ in upper and lower case, because two
// programs could read different ones. Everything that is known is checked. The error wraps ErrNotAccepted.
func ParseManifest(raw []byte) (Manifest, error) {
	var m Manifest
	if err := parseManifest(raw, &m); err != nil {
		return Manifest{}, refuse("the manifest: %w", err)
	}
	return m, nil
}

func parseManifest(raw []byte, m *Manifest) error {
	switch {
	case len(raw) > MaxManifest:
		return fmt.Errorf("%d bytes, and at most %d are allowed", len(raw), MaxManifest)
	case !utf8.Valid(raw):
		return errors.New("it is not UTF-8")
	}
	if err := checkKeys(raw); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, m); err != nil {
		return err
	}
	return m.check()
}

// checkKeys refuses a second value behind the first, keys that are there twice, and deep nesting.
func checkKeys(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := checkValue(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	return nil
}

func checkValue(d *json.Decoder, depth int) error {
	t, err := token(d)
	open, nested := t.(json.Delim)
	if err != nil || !nested {
		return err
	}
	if depth == maxDepth {
		return errors.New("it is nested too deeply")
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			t, err := token(d)
			if err != nil {
				return err
			}
			key := strings.ToLower(fmt.Sprint(t)) // encoding/json takes any case
			if seen[key] {
				return fmt.Errorf("the key %q is there twice", t)
			}
			seen[key] = true
		}
		if err := checkValue(d, depth+1); err != nil {
			return err
		}
	}
	_, err = token(d)
	return err
}

// token is the next one, of which there has to be one.
func token(d *json.Decoder) (json.Token, error) {
	t, err := d.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return t, err
}

func (m *Manifest) check() error {
	if err := checkWord("name", m.Name); err != nil {
		return err
	}
	if err := checkWord("version", m.Version); err != nil {
		return err
	}
	switch {
	case m.Serial < 1:
		return fmt.Errorf("serial %d, and 1 is the first", m.Serial)
	case len(m.Files) == 0 && !m.Paused:
		return errors.New("it has no files")
	case len(m.Files) > maxFiles:
		return fmt.Errorf("%d files, and at most %d are allowed", len(m.Files), maxFiles)
	case len(m.Revoked) > maxRevoked:
		return fmt.Errorf("%d revoked programs, and at most %d are allowed", len(m.Revoked), maxRevoked)
	}
	systems := map[[2]string]bool{}
	for _, f := range m.Files {
		if err := f.check(); err != nil {
			return err
		}
		system := [2]string{f.OS, f.Arch}
		if systems[system] {
			return fmt.Errorf("two files are for %s/%s", f.OS, f.Arch)
		}
		systems[system] = true
	}
	for _, sum := range m.Revoked {
		if err := checkSum("revoked", sum); err != nil {
			return err
		}
	}
	return m.checkWaves()
}

func (m *Manifest) checkWaves() error {
	if len(m.Waves) > maxWaves {
		return fmt.Errorf("%d waves, and at most %d are allowed", len(m.Waves), maxWaves)
	}
	if len(m.Waves) > 0 && m.Time.IsZero() {
		return errors.New("waves count from its time, which it does not have")
	}
	share, after := 0.0, time.Duration(-1)
	for _, w := range m.Waves {
		d, err := time.ParseDuration(w.After)
		switch {
		case err != nil:
			return fmt.Errorf("a wave after %q: %w", w.After, err)
		case w.Share <= share || w.Share > 1:
			return fmt.Errorf("a wave with share %v after one with %v: shares rise up to 1", w.Share, share)
		case d <= after:
			return fmt.Errorf("a wave after %v: each comes later than the one before, and none before 0s", d)
		}
		share, after = w.Share, d
	}
	return nil
}

func (f File) check() error {
	if err := checkFileName(f.File); err != nil {
		return err
	}
	if !isSystem(f.OS) || !isSystem(f.Arch) {
		return fmt.Errorf("file %q is for the system %q/%q, which are no GOOS and GOARCH", f.File, f.OS, f.Arch)
	}
	if err := checkContent(f.File, f.Size, f.SHA256); err != nil {
		return err
	}
	if f.Unpacked == nil {
		return nil
	}
	if packing(f.File) == packedNot {
		return fmt.Errorf("file %q is not packed by its name, and has something unpacked", f.File)
	}
	return checkContent(f.File+", unpacked", f.Unpacked.Size, f.Unpacked.SHA256)
}

func checkContent(what string, size int64, sum string) error {
	if size < 1 || size > maxSize {
		return fmt.Errorf("%q has %d bytes", what, size)
	}
	return checkSum(what, sum)
}

func checkSum(what, sum string) error {
	if len(sum) != 64 || strings.Trim(sum, "0123456789abcdef") != "" {
		return fmt.Errorf("%s: %q is no SHA-256 in lower-case hex", what, sum)
	}
	return nil
}

// checkWord is for what becomes a part of a path, and is printed beside other words.
func checkWord(what, s string) error {
	ok := func(r rune) bool {
		return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._+~-", r))
	}
	switch {
	case s == "" || len(s) > maxName:
		return fmt.Errorf("the %s %q has %d bytes, and 1 to %d are allowed", what, s, len(s), maxName)
	case s[0] == '.' || s[0] == '-':
		return fmt.Errorf("the %s %q begins with %q", what, s, s[0])
	case strings.IndexFunc(s, func(r rune) bool { return !ok(r) }) >= 0:
		return fmt.Errorf("the %s %q has other characters than letters, digits and ._+~-", what, s)
	}
	return nil
}

// checkFileName is for a name that a source is asked for.
func checkFileName(s string) error {
	switch {
	case s == "" || len(s) > maxFile:
		return fmt.Errorf("the file name %q has %d bytes, and 1 to %d are allowed", s, len(s), maxFile)
	case s[0] == '.':
		return fmt.Errorf("the file name %q begins with a dot", s)
	case strings.ContainsAny(s, `/\`):
		return fmt.Errorf("the file name %q has a folder", s)
	case strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0:
		return fmt.Errorf("the file name %q has control characters", s)
	}
	return nil
}

func isSystem(s string) bool {
	return s != "" && len(s) <= 16 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// For returns the file for a system. The error wraps ErrNotAccepted if there is none, or if a SHA256SUMS has several
// and does not say which one.
func (m Manifest) For(goos, arch string) (File, error) {
	var found []File
	var all []string
	for _, f := range m.Files {
		all = append(all, f.OS+"/"+f.Arch)
		if f.OS == goos && f.Arch == arch {
			found = append(found, f)
		}
	}
	switch len(found) {
	case 0:
		return File{}, refuse("%s %s has no file for %s/%s, only for %s", m.Name, m.Version, goos, arch, strings.Join(all, ", "))
	case 1:
		return found[0], nil
	}
	return File{}, refuse("%s and %s are both for %s/%s: publish one of them, or a release.json", found[0].File, found[1].File, goos, arch)
}
