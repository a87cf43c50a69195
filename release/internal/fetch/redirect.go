package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// MaxRedirects is how many redirects are followed, as in [http.Client].
const MaxRedirects = 10

// forAnyone are the headers that a redirect may take to another origin.
var forAnyone = []string{"Accept", "Accept-Encoding", "If-None-Match", "If-Range", "Range", "User-Agent"}

// CheckRedirect is for [http.Client]. What identifies this client stays at the scheme, host and port of the first
// request: once a redirect has led elsewhere, only headers that say nothing about it go on. net/http itself keeps
// Authorization at another port of the host, and headers of one's own everywhere.
func CheckRedirect(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer") // a query can be a password, as in a presigned URL
	if len(via) > MaxRedirects {
		return fmt.Errorf("more than %d redirects", MaxRedirects)
	}
	switch last := via[len(via)-1].URL; {
	case req.URL.Scheme != "http" && req.URL.Scheme != "https":
		return errors.New("a redirect to " + Show(req.URL) + ", which is neither http nor https")
	case last.Scheme == "https" && req.URL.Scheme == "http":
		return errors.New("a redirect from https to " + Show(req.URL) + ", which anyone on the way can read and change")
	}
	here := via[0].URL
	away := func(r *http.Request) bool { return !SameOrigin(here, r.URL) }
	if slices.ContainsFunc(via, away) || away(req) { // a way back here is no reason to send it again
		for name := range req.Header {
			if !slices.Contains(forAnyone, name) {
				delete(req.Header, name)
			}
		}
	}
	return nil
}

// SameOrigin reports whether both URLs have the same scheme, host and port.
func SameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}
