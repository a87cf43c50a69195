package release

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// HTTPOption is an option of [HTTP].
type HTTPOption interface{ forHTTP(*web) }

// GitHubOption is an option of [GitHub].
type GitHubOption interface{ forGitHub(*github) }

// WebOption is an option of [HTTP] and of [GitHub].
type WebOption interface {
	HTTPOption
	GitHubOption
}

type webOption func(*web)

func (o webOption) forHTTP(w *web)      { o(w) }
func (o webOption) forGitHub(g *github) { o(g.web) }

type githubOption func(*github)

func (o githubOption) forGitHub(g *github) { o(g) }

// Token has f asked for a token before each request, so that a short-lived one can be renewed. It is sent as
// "Authorization: Bearer", to the scheme, host and port of the source only, also if these redirect elsewhere, and is in
// no message. An empty token is not sent.
func Token(f func(context.Context) (string, error)) WebOption {
	return webOption(func(w *web) { w.token = f })
}

// TokenFile is a [Token] that is read from a file before each request, without the white space around it.
func TokenFile(path string) WebOption {
	return Token(func(context.Context) (string, error) {
		b, err := os.ReadFile(path)
		return strings.TrimSpace(string(b)), err
	})
}

// Header adds a header to each request to the scheme, host and port of the source, such as GitLab's Private-Token. It
// is not sent elsewhere, and its value is in no message.
func Header(name, value string) WebOption {
	return webOption(func(w *web) { w.header.Add(name, value) })
}

// Client has the requests sent by c, with its transport, jar and timeout. A copy of it is used that limits redirects,
// and ends a transfer that stands still. Without it there is one that takes its proxies from the environment, see
// [http.ProxyFromEnvironment].
func Client(c *http.Client) WebOption {
	return webOption(func(w *web) {
		own := *c
		w.client = &own
	})
}

// CA adds the certificates in a PEM file to those of the system, for a server whose certificate an authority of one's
// own has signed. It has no effect beside [Client].
func CA(path string) WebOption {
	return webOption(func(w *web) {
		pem, err := os.ReadFile(path)
		if err != nil {
			w.wrong = errors.Join(w.wrong, fmt.Errorf("the certificate authority: %w", err))
			return
		}
		if w.roots == nil {
			if w.roots, err = x509.SystemCertPool(); err != nil {
				w.roots = x509.NewCertPool()
			}
		}
		if !w.roots.AppendCertsFromPEM(pem) {
			w.wrong = errors.Join(w.wrong, fmt.Errorf("the certificate authority: no certificate in %s", path))
		}
	})
}

// API is the address of GitHub's API, which is https://HOST/api/v3 on a server of one's own. The default is
// https://api.github.com.
func API(url string) GitHubOption {
	return githubOption(func(g *github) { g.api = url })
}

// Prereleases takes the newest release that is published, even if it is a prerelease. Without it GitHub's "latest" is
// taken, which never is one.
func Prereleases() GitHubOption {
	return githubOption(func(g *github) { g.prereleases = true })
}

// Tag takes the release of one tag, which can be one that moves, such as "stable".
func Tag(name string) GitHubOption {
	return githubOption(func(g *github) { g.tag = name })
}
