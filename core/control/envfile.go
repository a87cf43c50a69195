package control

import (
	"fmt"
	"os"
	"strings"
	"unicode/utf8"
)

// ReadEnvironmentFile reads the assignments of a file in the form of systemd's EnvironmentFile= (systemd.exec(5)):
// one NAME=value in a line, with comments, quotes, and a backslash before a character or the end of the line.
// Nothing is substituted in a value. What systemd would leave out with a line in its log, a name that is none, is an
// error here.
func ReadEnvironmentFile(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
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
	if r.state >= beforeValue && r.state != inComment {
		if err := r.assign(); err != nil {
			return nil, err
		}
	}
	return r.env, nil
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
			r.state, r.name = inName, append(r.name, c)
		}
	case inName:
		switch {
		case isNewline(c): // without "=" it is nothing
			r.state, r.name = beforeName, nil
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
		return fmt.Errorf("%d: %q is not the name of a variable; write NAME=value, without export", r.line, name)
	}
	if strings.ContainsRune(value, 0) {
		return fmt.Errorf("%d: the value of %s has a zero byte in it", r.line, name)
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
