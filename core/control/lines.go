package control

import (
	"bufio"
	"bytes"
	"io"
)

// lines are the lines of an upgrade stream.
type lines struct{ *bufio.Scanner }

func newLines(r io.Reader) lines {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxLine)
	sc.Split(wholeLines)
	return lines{sc}
}

// wholeLines is bufio.ScanLines for a writer that ends each line. Half a line is none: its writer has ended.
func wholeLines(b []byte, atEnd bool) (int, []byte, error) {
	i := bytes.IndexByte(b, '\n')
	switch {
	case i >= 0:
		return i + 1, b[:i], nil
	case atEnd && len(b) > 0:
		return 0, nil, io.ErrUnexpectedEOF
	}
	return 0, nil, nil
}

// next returns the next line that is not empty, or io.EOF.
func (l lines) next() ([]byte, error) {
	for l.Scan() {
		if len(l.Bytes()) > 0 {
			return l.Bytes(), nil
		}
	}
	if l.Err() != nil {
		return nil, l.Err()
	}
	return nil, io.EOF
}
