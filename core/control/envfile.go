package control

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// ReadEnvironmentFile reads the assignments of a file in the form of systemd's EnvironmentFile= (systemd.exec(5)):
// one NAME=value in a line, with comments, quotes, and a backslash before a character or the end of the line.
// Nothing is substituted in a value. What systemd would pass over is an error here, which names the line: a name
// that is none, a line without "=", and a quote that is not closed. The file can have 6 MiB.
func ReadEnvironmentFile(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxEnvironment+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxEnvironment {
		return nil, fmt.Errorf("%s has more than the %d bytes that a process can be started with", path, maxEnvironment)
	}
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("%s is not UTF-8, as systemd wants its environment files", path)
	}
	env, err := parseEnvironment(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	return env, nil
}

// maxEnvironment is what execve(2) takes for the arguments and the environment at most, in bytes.
const maxEnvironment = 6 << 20

// envState is where the reader of an environment file is.
type envState int

const (
	beforeName envState = iota
	inName
	beforeValue // and after a quoted part of it
	inValue
	afterBackslash
	inSingleQuotes
	inDoubleQuotes
	afterQuotedBackslash
	inComment
)

// envReader reads an environment file, byte by byte: UTF-8 has no byte of another character that means something
// here.
type envReader struct {
	state       envState
	line        int // counted from 1
	begun       int // the line in which the name begins
	name, value []byte
	end         int // of the value without the space behind it
	env         []string
}

// parseEnvironment is the part of ReadEnvironmentFile that does not read the file.
func parseEnvironment(text string) ([]string, error) {
	r := &envReader{line: 1}
	for i := range len(text) {
		if err := r.next(text[i]); err != nil {
			return nil, err
		}
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return r.env, nil
}

// finish is the end of the file.
func (r *envReader) finish() error {
	switch r.state {
	case beforeName, inComment:
		return nil
	case inName:
		return r.noAssignment()
	case inSingleQuotes, inDoubleQuotes, afterQuotedBackslash:
		return fmt.Errorf("%d: a quote in the value of %s is not closed", r.begun, r.name)
	default:
		return r.assign()
	}
}

// noAssignment is the error for a line without "=".
func (r *envReader) noAssignment() error {
	return fmt.Errorf("%d: %q is no assignment; write NAME=value, or # before a comment", r.begun, r.name)
}

func isNewline(c byte) bool { return c == '\n' || c == '\r' }
func isSpace(c byte) bool   { return c == ' ' || c == '\t' || isNewline(c) }

// next takes one more byte.
func (r *envReader) next(c byte) error {
	if c == '\n' {
		defer func() { r.line++ }()
	}
	switch r.state {
	case beforeName:
		switch {
		case c == '#' || c == ';':
			r.state = inComment
		case !isSpace(c):
			r.state, r.name, r.begun = inName, append(r.name, c), r.line
		}
	case inName:
		switch {
		case isNewline(c):
			return r.noAssignment()
		case c == '=':
			r.state = beforeValue
		default:
			r.name = append(r.name, c)
		}
	case inComment:
		if isNewline(c) {
			r.state = beforeName
		}
	default:
		return r.nextOfValue(c)
	}
	return nil
}

// nextOfValue takes a byte behind the "=".
func (r *envReader) nextOfValue(c byte) error {
	switch r.state {
	case beforeValue, inValue:
		switch {
		case isNewline(c):
			return r.assign()
		case c == '\\':
			r.state = afterBackslash
		case r.state == beforeValue && c == '\'':
			r.state = inSingleQuotes
		case r.state == beforeValue && c == '"':
			r.state = inDoubleQuotes
		case r.state == inValue || !isSpace(c):
			r.state, r.value = inValue, append(r.value, c)
			if !isSpace(c) {
				r.end = len(r.value)
			}
		}
	case afterBackslash:
		if r.state = inValue; !isNewline(c) {
			r.keep(c)
		}
	case inSingleQuotes:
		if c == '\'' {
			r.state = beforeValue
		} else {
			r.keep(c)
		}
	case inDoubleQuotes:
		switch c {
		case '"':
			r.state = beforeValue
		case '\\':
			r.state = afterQuotedBackslash
		default:
			r.keep(c)
		}
	case afterQuotedBackslash:
		switch r.state = inDoubleQuotes; {
		case strings.IndexByte("\"\\`$", c) >= 0:
			r.keep(c)
		case !isNewline(c):
			r.keep('\\', c)
		}
	}
	return nil
}

// keep takes bytes that stay at the end of the value, too.
func (r *envReader) keep(c ...byte) {
	r.value = append(r.value, c...)
	r.end = len(r.value)
}

// assign is the end of an assignment.
func (r *envReader) assign() error {
	name, value := strings.TrimRight(string(r.name), " \t"), string(r.value[:r.end])
	r.state, r.name, r.value, r.end = beforeName, nil, nil, 0
	if !isName(name) {
		return fmt.Errorf("%d: %q is not the name of a variable; write NAME=value, without export", r.begun, name)
	}
	if strings.ContainsRune(value, 0) {
		return fmt.Errorf("%d: the value of %s has a zero byte in it", r.begun, name)
	}
	r.env = append(r.env, name+"="+value)
	return nil
}

// isName reports whether systemd takes s for the name of a variable.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (c < '0' || c > '9' || i == 0) {
			return false
		}
	}
	return s != ""
}
