package release_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/internal/sourcetest"
)

const githubToken = "ghp_s3cret"

// hub is a server with the part of GitHub's API that has releases, for the private repository team/shop. A third of
// its assets it has itself, a third it redirects to another port, and a third to another host. These end the test if
// they see the token.
type hub struct {
	*httptest.Server
	t       *testing.T
	storage *httptest.Server

	mu       sync.Mutex
	releases []hubRelease // newest first
	nextID   int
	pages    int // how many releases are on one
	cut      int
	left     int // of the rate limit
	counted  int // requests that the limit counts
	log      []string
	refuse   func(w http.ResponseWriter, r *http.Request) bool // refuses before all, if it is not nil
}

type hubRelease struct {
	ID         int        `json:"id"`
	TagName    string     `json:"tag_name"`
	Draft      bool       `json:"draft"`
	Prerelease bool       `json:"prerelease"`
	Published  time.Time  `json:"published_at"`
	Body       string     `json:"body"`
	Assets     []hubAsset `json:"assets"`
}

type hubAsset struct {
	ID        int    `json:"id"`
	Name      string `json:"name"`
	State     string `json:"state"`
	Size      int    `json:"size"`
	Updated   string `json:"updated_at"`
	Digest    string `json:"digest"`
	Downloads int    `json:"download_count"`
	content   []byte
}

func newHub(t *testing.T) *hub {
	h := &hub{t: t, pages: 30, left: 5000, nextID: 100}
	h.storage = httptest.NewServer(http.HandlerFunc(h.store))
	t.Cleanup(h.storage.Close)
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hub) Publish(t *testing.T, files map[string][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.add("v"+fmt.Sprint(h.nextID), files)
}

// add adds a release, which is the newest one.
func (h *hub) add(tag string, files map[string][]byte) *hubRelease {
	h.nextID++
	r := hubRelease{ID: h.nextID, TagName: tag, Published: time.Unix(int64(h.nextID), 0).UTC()}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		h.nextID++
		r.Assets = append(r.Assets, hubAsset{
			ID: h.nextID, Name: name, State: "uploaded", Size: len(files[name]), Updated: fmt.Sprint(h.nextID),
			Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(files[name])), content: files[name],
		})
	}
	h.releases = slices.Insert(h.releases, 0, r)
	return &h.releases[0]
}

func (h *hub) Source() release.Source { return h.source() }

func (h *hub) source(o ...release.GitHubOption) release.Source {
	return release.GitHub("team/shop", append([]release.GitHubOption{
		release.API(h.URL + "/api/v3"), release.Token(func(context.Context) (string, error) { return githubToken, nil }),
	}, o...)...)
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, r.URL.Path)
	if h.refuse != nil && h.refuse(w, r) {
		return
	}
	switch r.Header.Get("Authorization") {
	case "Bearer " + githubToken:
	case "":
		h.says(w, http.StatusNotFound, "Not Found")
		return
	default:
		h.says(w, http.StatusUnauthorized, "Bad credentials")
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/api/v3/repos/team/shop/releases")
	if !ok || r.Header.Get("X-Github-Api-Version") != "2022-11-28" || r.UserAgent() == "" {
		h.says(w, http.StatusNotFound, "Not Found")
		return
	}
	published := func(match func(hubRelease) bool) {
		if i := slices.IndexFunc(h.releases, func(r hubRelease) bool { return match(r) }); i >= 0 {
			h.json(w, r, h.releases[i])
			return
		}
		h.says(w, http.StatusNotFound, "Not Found")
	}
	switch {
	case path == "":
		h.list(w, r)
	case path == "/latest":
		published(func(r hubRelease) bool { return !r.Draft && !r.Prerelease })
	case strings.HasPrefix(path, "/tags/"):
		published(func(r hubRelease) bool { return r.TagName == path[len("/tags/"):] })
	default:
		id, _ := strconv.Atoi(strings.TrimPrefix(path, "/assets/"))
		h.asset(w, r, id)
	}
}

func (h *hub) says(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message, "documentation_url": "https://docs.github.com/rest"})
}

// json answers with an ETag, and by 304, which the rate limit does not count.
func (h *hub) json(w http.ResponseWriter, r *http.Request, v any) {
	b, _ := json.Marshal(v)
	etag := fmt.Sprintf(`W/"%x"`, sha256.Sum256(b))
	w.Header().Set("ETag", etag)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.counted++
	h.left--
	w.Header().Set("X-RateLimit-Remaining", fmt.Sprint(h.left))
	w.Header().Set("X-RateLimit-Reset", fmt.Sprint(time.Now().Add(10*time.Minute).Unix()))
	w.Write(b)
}

func (h *hub) list(w http.ResponseWriter, r *http.Request) {
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	page = max(page, 1)
	begin := min((page-1)*h.pages, len(h.releases))
	end := min(begin+h.pages, len(h.releases))
	if end < len(h.releases) {
		w.Header().Set("Link", fmt.Sprintf(`<%s?per_page=30&page=%d>; rel="next", <%s?page=99>; rel="last"`, h.URL+r.URL.Path, page+1, h.URL+r.URL.Path))
	}
	h.json(w, r, h.releases[begin:end])
}

func (h *hub) find(id int) *hubAsset {
	for i := range h.releases {
		for j := range h.releases[i].Assets {
			if a := &h.releases[i].Assets[j]; a.ID == id {
				return a
			}
		}
	}
	return nil
}

func (h *hub) asset(w http.ResponseWriter, r *http.Request, id int) {
	a := h.find(id)
	if a == nil || r.Header.Get("Accept") != "application/octet-stream" {
		h.says(w, http.StatusNotFound, "Not Found")
		return
	}
	a.Downloads++
	target := must.Get(url.Parse(h.storage.URL))(h.t)
	switch id % 3 {
	case 0:
		h.content(w, r, a)
		return
	case 1:
		target.Host = "localhost:" + target.Port()
	}
	target.Path, target.RawQuery = "/"+fmt.Sprint(id), "sig=s3cret"
	http.Redirect(w, r, target.String(), http.StatusFound)
}

func (h *hub) content(w http.ResponseWriter, r *http.Request, a *hubAsset) {
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(a.content)))
	if h.cut > 0 {
		w = &cutting{w, h.cut}
	}
	http.ServeContent(w, r, "asset", time.Unix(1, 0), bytes.NewReader(a.content))
}

// store answers for the storage, which knows no token.
func (h *hub) store(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, values := range r.Header {
		if v := strings.Join(values, " "); strings.Contains(v, "s3cret") || name == "Authorization" || name == "X-Github-Api-Version" {
			h.t.Errorf("the storage at %s sees %s: %s", r.Host, name, v)
		}
	}
	id, _ := strconv.Atoi(r.URL.Path[1:])
	if a := h.find(id); a != nil {
		h.content(w, r, a)
	}
}

// requests returns the paths that were asked for since the last call.
func (h *hub) requests() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := strings.ReplaceAll(strings.Join(h.log, " "), "/api/v3/repos/team/shop/", "")
	h.log = nil
	return s
}

func TestGitHub(t *testing.T) {
	t.Parallel()
	sourcetest.Check(t, newHub(t))
}

// TestGitHub_Redirects reads each of the three kinds of assets.
func TestGitHub_Redirects(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.cut = 4 << 20
	files := map[string][]byte{"release.json": []byte("{}"), "a": sourcetest.Bytes(9<<20, 1), "b": sourcetest.Bytes(9<<20, 2), "c": sourcetest.Bytes(9<<20, 3)}
	h.Publish(t, files)
	src := h.Source()
	for _, name := range []string{"a", "b", "c"} {
		got, opens, err := sourcetest.Fetch(t.Context(), src, name, 9<<20)
		if err != nil || !bytes.Equal(got, files[name]) || opens != 3 {
			t.Errorf("%s: %d bytes after %d requests: %v", name, len(got), opens, err)
		}
	}
}

func TestGitHub_ThreeRequestsThenOneThatIsFree(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.Publish(t, map[string][]byte{"release.json": []byte("1"), "release.json.minisig": []byte("s")})
	src := h.Source()
	o := must.Get(src.Head(t.Context(), ""))(t)
	if got := h.requests(); got != "releases/latest releases/assets/102 releases/assets/103" {
		t.Error(got)
	}
	// The two downloads have changed the answer, so it is one more that counts; then they are free.
	for i := range 4 {
		h.counted = 0
		_, err := src.Head(t.Context(), o.Tag)
		if got := h.requests(); !errors.Is(err, release.ErrUnchanged) || got != "releases/latest" || h.counted != 0 && i > 0 {
			t.Errorf("poll %d: %v, %s, %d counted", i, err, got, h.counted)
		}
	}
	// An asset that was replaced is a new offer, under the same tag.
	h.mu.Lock()
	a := &h.releases[0].Assets[0]
	a.content, a.ID, a.Updated = []byte("2"), 200, "later"
	h.mu.Unlock()
	if got := must.Get(src.Head(t.Context(), o.Tag))(t); string(got.Manifest) != "2" {
		t.Errorf("%s", got.Manifest)
	}
}

func TestGitHub_Chooses(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	file := func(s string) map[string][]byte { return map[string][]byte{"release.json": []byte(s)} }
	h.add("v1", file("1"))
	h.add("v2-rc1", file("2rc1")).Prerelease = true
	h.add("v2-rc2", file("2rc2")).Prerelease = true
	h.add("v3", file("3")).Draft = true
	h.add("docs", map[string][]byte{"notes.pdf": nil}).Prerelease = true
	h.add("v2-rc0", file("2rc0")).Prerelease = true
	h.releases[0].Published = time.Unix(1, 0) // made last, published first
	h.add("half", file("half")).Prerelease = true
	h.releases[0].Assets[0].State = "starter"
	for _, c := range []struct {
		name, want, err string
		o               []release.GitHubOption
	}{
		{"latest", "1", "", nil},
		{"prereleases", "2rc2", "", []release.GitHubOption{release.Prereleases()}},
		{"a tag", "2rc1", "", []release.GitHubOption{release.Tag("v2-rc1")}},
		{"a draft's tag", "", `"v3" is a draft`, []release.GitHubOption{release.Tag("v3")}},
		{"no such tag", "", `there is no release "v9"`, []release.GitHubOption{release.Tag("v9")}},
		{"without a manifest", "", `"docs" has neither release.json nor SHA256SUMS`, []release.GitHubOption{release.Tag("docs")}},
		{"on its way", "", `"half" has neither release.json nor SHA256SUMS; are its assets still on their way?`, []release.GitHubOption{release.Tag("half")}},
	} {
		o, err := h.source(c.o...).Head(t.Context(), "")
		if c.err == "" {
			if err != nil || string(o.Manifest) != c.want {
				t.Errorf("%s: %s, %v", c.name, o.Manifest, err)
			}
			continue
		}
		sourcetest.NotTried(t, err)
		if !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// Only prereleases, and nothing at all.
	h.releases = h.releases[:5]
	_, err := h.source().Head(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "or only prereleases (option Prereleases)") {
		t.Error(err)
	}
	h.releases = nil
	_, err = h.source(release.Prereleases()).Head(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "no release has release.json or SHA256SUMS") {
		t.Error(err)
	}
}

func TestGitHub_Pages(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.pages = 2
	h.add("v1", map[string][]byte{"release.json": []byte("1")})
	for range 5 {
		h.add("docs", nil)
	}
	o := must.Get(h.source(release.Prereleases()).Head(t.Context(), ""))(t)
	if got := h.requests(); string(o.Manifest) != "1" || got != "releases releases releases releases/assets/102" {
		t.Errorf("%s after %s", o.Manifest, got)
	}
	for range 30 {
		h.add("docs", nil)
	}
	_, err := h.source(release.Prereleases()).Head(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "none of the first 10 pages") {
		t.Error(err)
	}
	h.requests()
	// A next page elsewhere would get the token.
	h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Link", `<`+h.storage.URL+`/1>; rel="next"`)
		fmt.Fprint(w, "[]")
		return true
	}
	_, err = h.source(release.Prereleases()).Head(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "which is not its own address") {
		t.Error(err)
	}
}

func TestGitHub_Says(t *testing.T) {
	t.Parallel()
	none := release.Token(nil)
	other := release.Token(func(context.Context) (string, error) { return "old", nil })
	in := func(d time.Duration) string { return fmt.Sprint(time.Now().Add(d).Unix()) }
	for _, c := range []struct {
		name    string
		o       []release.GitHubOption
		code    int
		header  []string
		message string
		wait    time.Duration // at least, and a few seconds more at most
		want    string
	}{
		{"no token", []release.GitHubOption{none}, 0, nil, "", 0, "404 Not Found: Not Found: there is no such repository, or it is private and wants a token (TokenFile)"},
		{"an old token", []release.GitHubOption{other}, 0, nil, "", 0, "401 Unauthorized: Bad credentials: the token is not accepted; has it expired?"},
		{"no right", nil, 403, nil, "Resource not accessible by personal access token", 0, `the token has no right to it: it needs "Contents: read"`},
		{"no right, or not there", nil, 404, nil, "Not Found", 0, `or the token has no right to it ("Contents: read")`},
		{"401 without a token", []release.GitHubOption{none}, 401, nil, "Requires authentication", 0, "it wants a token (TokenFile)"},
		{"403 without a token", []release.GitHubOption{none}, 403, nil, "Forbidden", 0, "it wants a token (TokenFile)"},
		{"the limit", nil, 403, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", in(10 * time.Minute)}, "API rate limit exceeded", 9*time.Minute + 55*time.Second, "too many requests; the next one in "},
		{"the limit without a token", []release.GitHubOption{none}, 403, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", in(10 * time.Minute)}, "API rate limit exceeded", 9*time.Minute + 55*time.Second, "; a token allows 5,000 an hour (TokenFile)"},
		{"429", nil, 429, []string{"Retry-After", "30"}, "", 30 * time.Second, "too many requests; the next one in 30s"},
		{"a limit without a time", nil, 403, nil, "You have exceeded a secondary rate limit.", time.Minute, "the next one in 1m0s"},
		{"a limit whose time is over", nil, 429, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1"}, "", time.Minute, "the next one in 1m0s"},
		{"500", nil, 502, nil, "\x1b[2J", 0, `502 Bad Gateway: \x1b[2J`},
		{"maintenance", nil, 503, []string{"Retry-After", "5"}, "", 5 * time.Second, "503 Service Unavailable"},
		{"not the API", nil, 200, nil, "", 0, "its answer is not that of GitHub's API"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			h.Publish(t, map[string][]byte{"release.json": []byte("{}")})
			if c.code != 0 {
				h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
					for i := 0; i < len(c.header); i += 2 {
						w.Header().Set(c.header[i], c.header[i+1])
					}
					if c.code == 200 {
						fmt.Fprint(w, "It works!")
					} else {
						h.says(w, c.code, c.message)
					}
					return true
				}
			}
			src := h.source(c.o...)
			_, err := src.Head(t.Context(), "")
			sourcetest.NotTried(t, err)
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), h.URL+"/api/v3/team/shop: ") {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			var wait *release.WaitError
			if errors.As(err, &wait) != (c.wait > 0) || wait != nil && (wait.Wait < c.wait || wait.Wait > c.wait+10*time.Second) {
				t.Errorf("%+v, want %v", wait, c.wait)
			}
		})
	}
}

// TestGitHub_TellsOfTheLastRequest: the offer is there, and the next request would be refused.
func TestGitHub_TellsOfTheLastRequest(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.Publish(t, map[string][]byte{"release.json": []byte("{}")})
	h.left = 1
	o := must.Get(h.Source().Head(t.Context(), ""))(t)
	if o.NotBefore < 9*time.Minute || o.NotBefore > 11*time.Minute {
		t.Error(o.NotBefore)
	}
}

func TestGitHub_Names(t *testing.T) {
	t.Parallel()
	for _, repo := range []string{"", "shop", "/shop", "team/", "team/shop/x", "team/..", "../shop", "https://github.com/team/shop"} {
		_, err := release.GitHub(repo).Head(t.Context(), "")
		if err == nil || !strings.Contains(err.Error(), "is not OWNER/NAME of a repository") {
			t.Errorf("%q: %v", repo, err)
		}
	}
	for want, src := range map[string]release.Source{
		"github.com/team/shop":                 release.GitHub("team/shop"),
		"github.com/team/shop@v1":              release.GitHub("team/shop", release.Tag("v1")),
		"https://git.example/api/v3/team/shop": release.GitHub("team/shop", release.API("https://me:s3cret@git.example/api/v3/")),
	} {
		if got := src.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
