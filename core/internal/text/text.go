// Package text keeps words that somebody else has chosen from deciding anything. It cuts them to what a message has
// room for, and escapes what would do something to a terminal.
package text

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// MaxReason bounds a reason, in bytes. A byte takes six in JSON at most, so that a frame of the handover and a
	// line of the control socket have room for some of them.
	MaxReason = 4 << 10
	// MaxExplained bounds a reason with what is said about it, such as a remedy, in bytes.
	MaxExplained = 4 * MaxReason
	// MaxName bounds a name, in bytes.
	MaxName = 255
	// MaxAddress bounds an address, in bytes. A host name has 253 (RFC 1035), the path of a unix socket about 100.
	MaxAddress = 512
	// MaxVersion bounds what a program calls its version, in bytes.
	MaxVersion = 100
)

// dots end what was cut.
const dots = "..."

// Cut returns s as valid UTF-8 of at most limit bytes, of which it needs three or more. A text that was cut ends in
// "...".
func Cut(s string, limit int) string {
	if len(s) > limit {
		end := limit - len(dots)
		for range utf8.UTFMax - 1 { // not in the middle of a character
			if end > 0 && !utf8.RuneStart(s[end]) {
				end--
			}
		}
		s = s[:end] + dots
	}
	return strings.ToValidUTF8(s, "?")
}

// Reason is Cut for a reason.
func Reason(s string) string { return Cut(s, MaxReason) }

// Printable returns s in one line, in which characters that would not show, or would do something to a terminal, are
// escaped as in Go. A tab stays.
func Printable(s string) string { return escape(s, func(r rune) bool { return r == '\t' }) }

// Lines is Printable for a text of several lines.
func Lines(s string) string { return escape(s, func(r rune) bool { return r == '\t' || r == '\n' }) }

func escape(s string, stays func(rune) bool) string {
	shows := func(r rune) bool { return unicode.IsPrint(r) || stays(r) }
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !shows(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case shows(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		s = s[n:]
	}
	return b.String()
}

// JSON returns JSON with the same meaning, in which the characters of Printable are escaped as JSON has it. Bytes
// that are no UTF-8 become U+FFFD.
func JSON(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r < ' ' || unicode.IsPrint(r): // what is below a space stands between two words
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		b = b[n:]
	}
	return out
}

// Error returns err with a text that is Printable and bounded. What err wraps stays visible to errors.Is and errors.As.
// It is nil for nil.
func Error(err error) error {
	if err == nil {
		return nil
	}
	s := err.Error()
	if clean := Printable(Cut(s, MaxExplained)); clean != s {
		return &shown{clean, err}
	}
	return err
}

// shown is an error with another text.
type shown struct {
	text string
	err  error
}

func (e *shown) Error() string { return e.text }
func (e *shown) Unwrap() error { return e.err }
