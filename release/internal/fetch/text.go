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

	"github.com/gracex-go/gracex/core/control"
)

// maxText is how much of an origin's words is shown, in bytes.
const maxText = 300

// Show is u for a person: without user, password and query, which can be a password as well.
func Show(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return Printable(shown.String())
}

// Printable is s from outside for a person's terminal: shortened, and with control characters and the like escaped.
func Printable(s string) string { return PrintableUpTo(s, maxText) }

// PrintableUpTo is Printable for the first bytes of s, so many as limit says.
func PrintableUpTo(s string, limit int) string {
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return control.Printable(s)
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
