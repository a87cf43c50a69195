package fetcher

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/gracex-go/gracex/core"
)

const (
	// minFileInterval is the shortest Interval of a File.
	minFileInterval = time.Second
	// fileRate and fileLooks are how often, and how many times, it is looked whether a file is still being written.
	fileRate  = 250 * time.Millisecond
	fileLooks = 20
)

// File looks for a new program at Path. One that is there when the service starts is not new. Put a new one there by a
// rename: while it is copied it changes, and is waited for.
//
// Whoever can write the file decides what runs, so it needs no signature. It has to belong to the service's user or to
// root, and must not be writable by everybody.
type File struct {
	Path     string
	Interval time.Duration // between two looks; less than 1 s: 1 s

	last  string // what stands for the file that was read; empty for none
	delay bool
}

// Init checks Path and sets Interval.
func (f *File) Init() error {
	if f.Path == "" {
		return errors.New("fetcher.File needs a Path")
	}
	f.Interval = max(f.Interval, minFileInterval)
	if core.Upgrading() {
		return nil // what came during the upgrade is new, and what runs is recognized by its content
	}
	var err error
	f.last, err = f.look()
	return err
}

// Fetch waits for Interval, but not the first time, and returns the file if it is another one than before.
func (f *File) Fetch() (io.Reader, error) {
	if f.delay {
		time.Sleep(f.Interval)
	}
	f.delay = true
	now, err := f.look()
	if err != nil || now == "" || now == f.last {
		return nil, err
	}
	for range fileLooks {
		time.Sleep(fileRate)
		was := now
		if now, err = f.look(); err != nil || now == "" {
			return nil, err
		}
		if now == was {
			return f.open(now)
		}
	}
	return nil, fmt.Errorf("%s is still being written; put a new program there by a rename", f.Path)
}

func (f *File) open(stamp string) (io.Reader, error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, err
	}
	fi, err := file.Stat()
	if err == nil {
		err = trusted(f.Path, fi)
	}
	if err != nil {
		f.last = stamp // said once
		_ = file.Close()
		return nil, err
	}
	return &body{
		Reader: file, close: file.Close, whole: func() { f.last = stamp },
		signature: func() ([]byte, error) {
			s, err := os.Open(f.Path + SignatureSuffix)
			if err != nil {
				return nil, err
			}
			defer func() { _ = s.Close() }()
			return io.ReadAll(io.LimitReader(s, maxSignature))
		},
	}, nil
}

// look returns what stands for the file; empty if there is none.
func (f *File) look() (string, error) {
	fi, err := os.Stat(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if !fi.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no file (mode %v)", f.Path, fi.Mode())
	}
	return fmt.Sprintf("%d %d %d", fi.ModTime().UnixNano(), fi.Size(), inode(fi)), nil
}
