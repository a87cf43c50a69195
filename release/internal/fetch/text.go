package fetch

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is how much of an origin's words is shown, in bytes.
const maxText = 300

// Show is u for a person: without user, password and query, which can be a password as well.
func Show(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return Printable(shown.String())
}

// Printable is s from outside for a person's terminal: shortened, and with control characters and the like escaped.
func Printable(s string) string {
	var b strings.Builder
	for i, r := range s {
		if b.Len() >= maxText {
			b.WriteString("...")
			break
		}
		switch {
		case r == utf8.RuneError:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// ExplainedError is an error of the network for a person. Its text has no secret of a URL in it, which the error of
// net/http can have.
type ExplainedError struct {
	text string
	err  error
}

// Explain returns err, which [http.Client] has returned, as a ExplainedError.
func Explain(err error) error {
	at := ""
	var u *url.Error
	for errors.As(err, &u) {
		if parsed, perr := url.Parse(u.URL); perr == nil {
			at = Show(parsed) + ": "
		}
		err = u.Err
		u = nil
	}
	text := at + Printable(withoutUser(err.Error()))
	var cert *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &cert) && errors.As(cert.Err, &unknown) {
		text += "; is it your own authority's? SSL_CERT_FILE or the option CA names its certificate"
	}
	return &ExplainedError{text, err}
}

func (e *ExplainedError) Error() string { return e.text }
func (e *ExplainedError) Unwrap() error { return e.err }

// withoutUser takes user and password off each URL in text.
func withoutUser(text string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "://")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		b.WriteString("://")
		end := strings.IndexAny(rest, "/?# \"\t\n")
		if end < 0 {
			end = len(rest)
		}
		if at := strings.LastIndexByte(rest[:end], '@'); at >= 0 {
			rest = rest[at+1:]
		}
		text = rest
	}
}

// ErrTooLarge means that a small file is not small.
var ErrTooLarge = errors.New("too large")

// ReadSmall reads r, which must not have more than limit bytes.
func ReadSmall(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	return b, err
}

// CheckName refuses what is no name of a file in one folder. A manifest has the name, so it can be anything.
func CheckName(name string) error {
	switch {
	case name == "" || name == "." || name == ".." || len(name) > 255,
		strings.ContainsAny(name, `/\`), strings.ContainsFunc(name, unicode.IsControl), !utf8.ValidString(name):
		return fmt.Errorf("%q is not the name of a file", Printable(name))
	}
	return nil
}
