package release

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gracex-go/gracex/release/internal/fetch"
)

const (
	githubAPI = "https://api.github.com"

	// maxAnswer is how large an answer of the API can be, in bytes: 30 releases with their notes, and 1,000 assets each.
	maxAnswer = 16 << 20

	// maxPages is how many pages of releases are looked through.
	maxPages = 10

	// secondaryWait is how long to wait after a limit without a time, by GitHub's "Best practices for using the REST API".
	secondaryWait = time.Minute
)

// GitHub is the releases of a repository "owner/name", on github.com or by [API] on a server of one's own. A release
// has the files of [Dir] as its assets. Drafts are never taken.
//
// A private repository needs a [Token] with the right to read its contents. Without a token GitHub allows 60 requests
// an hour for each address, which all hosts behind it share. With one it allows 5,000, and a request that finds
// nothing new is not counted.
func GitHub(repo string, options ...GitHubOption) Source {
	g := &github{web: &web{header: http.Header{}}, api: githubAPI, repo: repo}
	for _, o := range options {
		o.forGitHub(g)
	}
	g.settle(g.api)
	owner, name, _ := strings.Cut(repo, "/")
	if fetch.CheckName(owner) != nil || fetch.CheckName(name) != nil {
		g.wrong = errors.Join(g.wrong, fmt.Errorf("%q is not OWNER/NAME of a repository", fetch.Printable(repo)))
	}
	host := "github.com"
	if g.api != githubAPI {
		host = strings.TrimSuffix(g.of, "/")
	}
	g.of = host + "/" + fetch.Printable(repo)
	if g.tag != "" {
		g.of += "@" + fetch.Printable(g.tag)
	}
	return g
}

type github struct {
	*web
	api, repo   string
	prereleases bool
	tag         string

	found struct {
		sync.Mutex
		release *githubRelease
	}
}

// githubRelease is the part of the API's answer that is used.
type githubRelease struct {
	ID        int64         `json:"id"`
	TagName   string        `json:"tag_name"`
	Draft     bool          `json:"draft"`
	Published time.Time     `json:"published_at"`
	Assets    []githubAsset `json:"assets"`
}

type githubAsset struct {
	ID      int64  `json:"id"`
	Name    string `json:"name"`
	State   string `json:"state"` // "uploaded" when it is whole
	Size    int64  `json:"size"`
	Updated string `json:"updated_at"`
	Digest  string `json:"digest"`
}

func (r *githubRelease) asset(name string) *githubAsset {
	for i, a := range r.Assets {
		if a.Name == name && (a.State == "uploaded" || a.State == "") {
			return &r.Assets[i]
		}
	}
	return nil
}

// manifest returns the assets with the manifest and the signature, or nil.
func (r *githubRelease) manifest() (m, sig *githubAsset) {
	for _, name := range manifests {
		if m := r.asset(name); m != nil {
			return m, r.asset(name + signatureExt)
		}
	}
	return nil, nil
}

func (g *github) String() string { return g.of }

// at is the address of something of the repository.
func (g *github) at(path ...string) *url.URL {
	owner, name, _ := strings.Cut(g.repo, "/")
	u := g.base.JoinPath("repos", url.PathEscape(owner), url.PathEscape(name), "releases")
	for _, p := range path {
		u = u.JoinPath(url.PathEscape(p))
	}
	return u
}

// Head implements Source.
func (g *github) Head(ctx context.Context, tag string) (Offer, error) {
	if g.wrong != nil {
		return Offer{}, g.error(g.wrong)
	}
	known := g.newer(tag)
	r, answer, err := g.look(ctx, known.usable())
	switch {
	case err != nil:
		return Offer{}, g.error(err)
	case answer.unchanged:
		return Offer{}, ErrUnchanged
	}
	m, sig := r.manifest()
	if m == nil {
		return Offer{}, g.error(fmt.Errorf("the release %q has neither %s nor %s; are its assets still on their way?",
			fetch.Printable(r.TagName), manifests[0], manifests[1]))
	}
	// The ETag changes with each download, because the answer counts them.
	state, _ := json.Marshal([]any{r.ID, m, sig})
	h := hint{of: contentTag(state, nil), etag: answer.header.Get("ETag"), at: time.Now()}
	if len(h.etag) > 256 {
		h.etag = ""
	}
	if h.of == known.of {
		g.confirm(h)
		return Offer{}, ErrUnchanged
	}
	o := Offer{Tag: h.String(), NotBefore: fetch.Wait(answer.header)}
	if o.Manifest, err = g.content(ctx, m); err != nil {
		return Offer{}, g.error(err)
	}
	if sig != nil {
		if o.Signature, err = g.content(ctx, sig); err != nil {
			return Offer{}, g.error(err)
		}
	}
	g.confirm(h)
	return o, nil
}

// look finds the release, and keeps it for Open.
func (g *github) look(ctx context.Context, etag string) (*githubRelease, small, error) {
	header := http.Header{"Accept": {"application/vnd.github+json"}, "X-Github-Api-Version": {"2022-11-28"}}
	if etag != "" {
		header.Set("If-None-Match", etag)
	}
	var r *githubRelease
	var answer small
	var err error
	switch {
	case g.tag != "":
		r, answer, err = g.one(ctx, g.at("tags", g.tag), header, fmt.Sprintf("there is no release %q", fetch.Printable(g.tag)))
	case g.prereleases:
		r, answer, err = g.newest(ctx, header)
	default:
		r, answer, err = g.one(ctx, g.at("latest"), header, "there is no release, or only prereleases (option Prereleases)")
	}
	if err == nil && r != nil {
		g.found.Lock()
		g.found.release = r
		g.found.Unlock()
	}
	return r, answer, err
}

// one gets one release.
func (g *github) one(ctx context.Context, u *url.URL, header http.Header, none string) (*githubRelease, small, error) {
	answer, err := g.small(ctx, u, header, maxAnswer, g.refused)
	if answer.missing {
		return nil, small{}, fmt.Errorf("%w, or %s", err, none)
	}
	if err != nil || answer.unchanged {
		return nil, answer, err
	}
	var r githubRelease
	if err := decode(answer.body, &r); err != nil {
		return nil, small{}, err
	}
	if r.Draft { // a token that may write sees them
		return nil, small{}, fmt.Errorf("the release %q is a draft", fetch.Printable(r.TagName))
	}
	return &r, answer, nil
}

// newest gets the release that was published last, of those with a manifest.
func (g *github) newest(ctx context.Context, header http.Header) (*githubRelease, small, error) {
	u := g.at()
	u.RawQuery = "per_page=30"
	var first small
	for page := range maxPages {
		answer, err := g.small(ctx, u, header, maxAnswer, g.refused)
		if err != nil || answer.unchanged {
			return nil, answer, err
		}
		header.Del("If-None-Match") // it was the first page's
		if page == 0 {
			first = answer
		}
		var list []githubRelease
		if err := decode(answer.body, &list); err != nil {
			return nil, small{}, err
		}
		var best *githubRelease
		for i, r := range list {
			if m, _ := r.manifest(); m != nil && !r.Draft && (best == nil || r.Published.After(best.Published)) {
				best = &list[i]
			}
		}
		if best != nil {
			return best, first, nil
		}
		if u = fetch.NextLink(answer.header.Values("Link"), u); u == nil {
			return nil, small{}, errors.New("no release has " + manifests[0] + " or " + manifests[1])
		}
	}
	return nil, small{}, fmt.Errorf("none of the first %d pages of releases has one with %s or %s", maxPages, manifests[0], manifests[1])
}

// decode reads an answer of the API.
func decode(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return errors.New("its answer is not that of GitHub's API: " + fetch.Printable(err.Error()))
	}
	return nil
}

var forAsset = http.Header{"Accept": {"application/octet-stream"}, "X-Github-Api-Version": {"2022-11-28"}}

// content reads a small asset.
func (g *github) content(ctx context.Context, a *githubAsset) ([]byte, error) {
	answer, err := g.small(ctx, g.asset(a), forAsset, MaxManifest, g.refused)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.Name, err)
	}
	return answer.body, nil
}

func (g *github) asset(a *githubAsset) *url.URL { return g.at("assets", fmt.Sprint(a.ID)) }

// Open implements Source.
func (g *github) Open(ctx context.Context, name string, at int64) (io.ReadCloser, int64, error) {
	if err := errors.Join(g.wrong, fetch.CheckName(name)); err != nil {
		return nil, 0, g.error(err)
	}
	g.found.Lock()
	r := g.found.release
	g.found.Unlock()
	var err error
	if r == nil {
		if r, _, err = g.look(ctx, ""); err != nil {
			return nil, 0, g.error(err)
		}
	}
	a := r.asset(name)
	if a == nil {
		return nil, 0, g.error(fmt.Errorf("the release %q has no asset %q", fetch.Printable(r.TagName), fetch.Printable(name)))
	}
	body, from, err := g.open(ctx, g.asset(a), forAsset, name, at, g.refused)
	if err != nil {
		return nil, 0, g.error(fmt.Errorf("%s: %w", fetch.Printable(name), err))
	}
	return body, from, nil
}

// refused is the refusal of GitHub's API.
func (g *github) refused(resp *http.Response) error {
	text := status(resp)
	if resp.Request.Response != nil { // of the storage to which it has redirected
		return waiting(resp, errors.New(text))
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxDetail))
	var answer struct{ Message string }
	if json.Unmarshal(bytes.TrimSpace(b), &answer) == nil && answer.Message != "" {
		text += ": " + fetch.Printable(answer.Message)
	}
	more := func(s string) error { return errors.New(text + ": " + s) }
	wait := fetch.Wait(resp.Header)
	limited := resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusForbidden &&
		(wait > 0 || resp.Header.Get("X-RateLimit-Remaining") == "0" || strings.Contains(strings.ToLower(answer.Message), "rate limit"))
	switch {
	case limited:
		if wait == 0 {
			wait = secondaryWait
		}
		return &WaitError{wait, more(fmt.Sprintf("too many requests; the next one in %v%s", wait,
			choose(g.token == nil, "; a token allows 5,000 an hour (TokenFile)", "")))}
	case resp.StatusCode == http.StatusUnauthorized:
		return more(choose(g.token == nil, "it wants a token (TokenFile)", "the token is not accepted; has it expired?"))
	case resp.StatusCode == http.StatusForbidden:
		return more(choose(g.token == nil, "it wants a token (TokenFile)",
			`the token has no right to it: it needs "Contents: read" of this repository, and the organization's consent`))
	case resp.StatusCode == http.StatusNotFound:
		return more(choose(g.token == nil, "there is no such repository, or it is private and wants a token (TokenFile)",
			`there is no such repository, or the token has no right to it ("Contents: read")`))
	}
	return waiting(resp, errors.New(text))
}
