package main

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"log/slog"
	"os"
	"strconv"
)

// maxEvent is the longest event, in bytes.
const maxEvent = 4 << 10

// errLines is a mistake of the client's.
var errLines = errors.New("an event is one line, and not empty")

// events are the lines of a file, which the old and the new process share. The id of an event is the place in the file
// behind it.
type events struct{ file *os.File }

type event struct {
	id   int64
	data []byte
}

func openEvents(path string) (*events, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return &events{file}, nil
}

// add appends an event. Two processes can do so at a time: with O_APPEND each write goes behind all others (open(2)).
func (e *events) add(data []byte) error {
	if len(data) == 0 || bytes.ContainsAny(data, "\r\n") {
		return errLines
	}
	_, err := e.file.Write(append(data, '\n'))
	return err
}

// place is where a client goes on that has seen the event with this id. One that is not known here, because it is
// nobody's or the file is another one, begins at the beginning.
func (e *events) place(id string) int64 {
	at, err := strconv.ParseInt(id, 10, 64)
	if err != nil || at <= 0 {
		return 0
	}
	var end [1]byte
	if _, err := e.file.ReadAt(end[:], at-1); err != nil || end[0] != '\n' {
		return 0
	}
	return at
}

// after are the next events behind a place, as many as b holds. They are valid until b is used again.
func (e *events) after(at int64, b []byte) iter.Seq[event] {
	return func(yield func(event) bool) {
		n, err := e.file.ReadAt(b, at)
		if err != nil && !errors.Is(err, io.EOF) {
			slog.Error("the events can't be read", "error", err)
		}
		for line := range bytes.Lines(b[:n]) {
			data, whole := bytes.CutSuffix(line, []byte("\n"))
			at += int64(len(line))
			if !whole || !yield(event{at, data}) {
				return
			}
		}
	}
}
