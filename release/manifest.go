package release

import "time"

// Manifest is what the signature is for: all that a mirror must not be able to change. The file release.json has it.
type Manifest struct {
	Name    string    `json:"name"`              // the product, as in Trust
	Version string    `json:"version"`           // for people; the order is that of Serial
	Serial  int64     `json:"serial"`            // rises with each release; at least 1
	Time    time.Time `json:"time"`              // when it was published; the waves count from it
	Expires time.Time `json:"expires,omitzero"`  // no longer offered after that; zero: never. It never stops what runs
	Files   []File    `json:"files"`             // one for each system
	Waves   []Wave    `json:"waves,omitempty"`   // none: for all at once
	Paused  bool      `json:"paused,omitempty"`  // nobody starts it, nor an earlier one
	Revoked []string  `json:"revoked,omitempty"` // SHA-256 of programs that nobody is to start again
}

// File is the release for one operating system and architecture.
type File struct {
	OS     string `json:"os"`   // as GOOS
	Arch   string `json:"arch"` // as GOARCH
	File   string `json:"file"` // its name at the source, without a folder
	Size   int64  `json:"size"` // in bytes
	SHA256 string `json:"sha256"`

	// Unpacked is the program in File, if that is an archive (.tar.gz, .tar.zst) or compressed (.gz, .zst).
	Unpacked *Content `json:"unpacked,omitempty"`
}

// Content is the size and the hash of a program.
type Content struct {
	Size   int64  `json:"size"`   // in bytes
	SHA256 string `json:"sha256"` // in hex
}

// Wave is a part of all hosts.
type Wave struct {
	Share float64 `json:"share"` // of all hosts, from 0 to 1, with those of the waves before
	After string  `json:"after"` // a time.Duration, counted from Manifest.Time
}
