package control

import (
	"bufio"
	"io"
)

// lines are the lines of an upgrade stream.
type lines struct{ *bufio.Scanner }

func newLines(r io.Reader) lines {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxLine)
	return lines{sc}
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
