package ocisource_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/internal/sourcetest"
	"github.com/gracex-go/gracex/release/ocisource"
)

// push makes an artifact of files and gives it the tag of the repository's reference.
func push(t *testing.T, repo *remote.Repository, files map[string][]byte) {
	t.Helper()
	store := memory.New()
	var layers []ocispec.Descriptor
	for name, b := range files {
		d := content.NewDescriptorFromBytes("application/octet-stream", b)
		if err := store.Push(t.Context(), d, bytes.NewReader(b)); err != nil && !strings.Contains(err.Error(), "already exists") {
			t.Fatal(err)
		}
		d.Annotations = map[string]string{ocispec.AnnotationTitle: name}
		layers = append(layers, d)
	}
	root := must.Get(oras.PackManifest(t.Context(), store, oras.PackManifestVersion1_1, "application/vnd.gracex.release.v1", oras.PackManifestOptions{Layers: layers}))(t)
	must.Do(t, oras.CopyGraph(t.Context(), store, repo, root, oras.DefaultCopyGraphOptions))
	must.Do(t, repo.Tag(t.Context(), root, repo.Reference.Reference))
}

// hub is a registry that wants a password and has its blobs elsewhere, at another port of the same host, where
// ranges are not known.
type hub struct {
	*httptest.Server
	t        *testing.T
	artifact []byte
	blobs    map[string][]byte
	log      []string
	no       func(http.ResponseWriter, *http.Request) bool
}

func newHub(t *testing.T, mediaType string, files map[string]string) *hub {
	h := &hub{t: t, blobs: map[string][]byte{}}
	var layers []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		d := digest.FromString(files[name]).String()
		h.blobs[d] = []byte(files[name])
		layers = append(layers, fmt.Sprintf(`{"mediaType":"x/y","digest":%q,"size":%d,"annotations":{"org.opencontainers.image.title":%q}}`, d, len(files[name]), name))
	}
	h.artifact = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"layers":[%s]}`, mediaType, strings.Join(layers, ","))
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" {
			t.Errorf("the storage sees %v", r.Header)
		}
		w.Write(h.blobs[r.URL.Path[1:]])
	}))
	t.Cleanup(storage.Close)
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.log = append(h.log, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/v2/team/shop/"))
		if h.no != nil && h.no(w, r) {
			return
		}
		if user, password, _ := r.BasicAuth(); user != "test" || password != "s3cret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if d, ok := strings.CutPrefix(r.URL.Path, "/v2/team/shop/blobs/"); ok {
			http.Redirect(w, r, storage.URL+"/"+d+"?sig=s3cret", http.StatusTemporaryRedirect)
			return
		}
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Docker-Content-Digest", digest.FromBytes(h.artifact).String())
		w.Header().Set("Content-Length", fmt.Sprint(len(h.artifact)))
		w.Write(h.artifact)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hub) source(o ...ocisource.Option) release.Source {
	host := must.Get(url.Parse(h.URL))(h.t).Host
	return ocisource.New(host+"/team/shop:stable", append([]ocisource.Option{ocisource.PlainHTTP(), ocisource.Password(func(context.Context) (string, string, error) {
		return "test", "s3cret", nil
	})}, o...)...)
}

func TestSource_KeepsItsPasswordAtHome(t *testing.T) {
	t.Parallel()
	h := newHub(t, ocispec.MediaTypeImageManifest, map[string]string{"SHA256SUMS": "sums", "SHA256SUMS.minisig": "signed", "shop": "0123456789"})
	src := h.source()
	o := must.Get(src.Head(t.Context(), ""))(t)
	if string(o.Manifest) != "sums" || string(o.Signature) != "signed" || o.Tag != digest.FromBytes(h.artifact).String() {
		t.Errorf("%+v", o)
	}
	h.log = nil
	if _, err := src.Head(t.Context(), o.Tag); !errors.Is(err, release.ErrUnchanged) || fmt.Sprint(h.log) != "[HEAD manifests/stable]" {
		t.Errorf("%v, %v", err, h.log)
	}
	body, from, err := src.Open(t.Context(), "shop", 5)
	must.Do(t, err)
	defer body.Close()
	if got := must.Get(io.ReadAll(body))(t); from != 0 || string(got) != "0123456789" {
		t.Errorf("%s from %d on", got, from)
	}
}

func TestSource_Says(t *testing.T) {
	t.Parallel()
	says := func(code int, header, value string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set(header, value)
			w.WriteHeader(code)
			fmt.Fprint(w, `{"errors":[{"code":"DENIED","message":"no\u001b[2J"}]}`)
			return true
		}
	}
	for _, c := range []struct {
		name, mediaType string
		no              func(http.ResponseWriter, *http.Request) bool
		wait            time.Duration
		want            string
	}{
		{"an index", ocispec.MediaTypeImageIndex, nil, 0, "it is an index of images"},
		{"no manifest", ocispec.MediaTypeImageManifest, nil, 0, "no layer has the title release.json or SHA256SUMS"},
		{"403", "", says(403, "X", ""), 0, "the password gives no right to pull it (docker login 127.0.0.1:"},
		{"429", "", says(429, "Retry-After", "9"), 9 * time.Second, "429 Too Many Requests"},
		{"503", "", says(503, "Retry-After", "9"), 9 * time.Second, "it wants to be asked again in 9s"},
	} {
		h := newHub(t, c.mediaType, map[string]string{"shop": "x"})
		h.no = c.no
		_, err := h.source().Head(t.Context(), "")
		if err == nil {
			t.Fatal("no error")
		}
		sourcetest.NotTried(t, err)
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "/team/shop:stable: ") {
			t.Errorf("%s: got  %v\nwant %s", c.name, err, c.want)
		}
		var wait *release.WaitError
		if errors.As(err, &wait) != (c.wait > 0) || wait != nil && wait.Wait != c.wait {
			t.Errorf("%s: %+v", c.name, wait)
		}
	}
}

func TestNew_BadReferences(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"", "shop", "ghcr.io/team/shop", "https://ghcr.io/team/shop:stable", "ghcr.io/Team/shop:stable", "ghcr.io/team/shop:\x1b", "me:s3@ghcr.io/team/shop:x"} {
		src := ocisource.New(ref, ocisource.Anonymous())
		_, err := src.Head(t.Context(), "")
		if err == nil {
			t.Fatalf("%q is accepted", ref)
		}
		sourcetest.NotTried(t, err)
		_, _, err = src.Open(t.Context(), "shop", 0)
		sourcetest.NotTried(t, err)
	}
}

// TestNew_DockerLogin: the password of the registry comes from where docker login puts it.
func TestNew_DockerLogin(t *testing.T) { //nolint:paralleltest // it sets the environment
	h := newHub(t, ocispec.MediaTypeImageManifest, map[string]string{"release.json": "{}"})
	host := must.Get(url.Parse(h.URL))(t).Host
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	_, err := ocisource.New(host+"/team/shop:stable", ocisource.PlainHTTP()).Head(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "docker login "+host) {
		t.Errorf("without a file: %v", err)
	}
	config := fmt.Sprintf(`{"auths":{%q:{"auth":"dGVzdDpzM2NyZXQ="}}}`, host) // test:s3cret
	must.Do(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600))
	must.Get(ocisource.New(host+"/team/shop:stable", ocisource.PlainHTTP()).Head(t.Context(), ""))(t)
	must.Do(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte("{"), 0o600))
	_, err = ocisource.New(host+"/team/shop:stable", ocisource.PlainHTTP()).Head(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "the passwords of docker login") {
		t.Errorf("a broken file: %v", err)
	}
}
