package program

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable escapes characters that would not show, or would do something to a terminal.
func Printable(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&s, `\x%02x`, b[0])
		case r == '\t' || unicode.IsPrint(r):
			s.WriteRune(r)
		default:
			s.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		b = b[n:]
	}
	return s.String()
}
