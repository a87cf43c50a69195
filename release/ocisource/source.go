package ocisource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/internal/fetch"
)

// maxArtifact is how large the manifest of an artifact can be, in bytes: what each registry has to take, by the
// distribution specification ("Pushing Manifests").
const maxArtifact = 4 << 20

var manifests = []string{"release.json", "SHA256SUMS"}

const signatureExt = ".minisig"

// Option is an option of [New].
type Option func(*source)

// PlainHTTP speaks http with the registry, not https.
func PlainHTTP() Option { return func(s *source) { s.plain = true } }

// Password has f asked for a user and a password, or a token in place of it, whenever the registry wants one. Both are
// sent to the registry of the reference, and to the token service that it names, and to nobody else. The default are
// those of "docker login" and "podman login --compat-auth-file", in ~/.docker/config.json or $DOCKER_CONFIG, with the
// credential helpers that are named there.
func Password(f func(context.Context) (user, password string, err error)) Option {
	return func(s *source) {
		s.credential = func(ctx context.Context, host string) (auth.Credential, error) {
			if host != s.repo.Reference.Host() {
				return auth.EmptyCredential, nil
			}
			user, password, err := f(ctx)
			return auth.Credential{Username: user, Password: password}, err
		}
	}
}

// Anonymous reads a public repository without looking for a password.
func Anonymous() Option {
	return func(s *source) {
		s.credential = func(context.Context, string) (auth.Credential, error) { return auth.EmptyCredential, nil }
	}
}

// Transport sends the requests. Without it there is one that takes its proxies from the environment. A transfer that
// stands still ends with either.
func Transport(t http.RoundTripper) Option { return func(s *source) { s.transport = t } }

// New returns a source of the artifact HOST/NAME:TAG, or HOST/NAME@sha256:DIGEST for one that never changes. What is
// wrong with it is said when the source is used.
func New(reference string, options ...Option) release.Source {
	s := &source{of: fetch.Printable(reference)}
	for _, o := range options {
		o(s)
	}
	if s.repo, s.wrong = remote.NewRepository(reference); s.wrong != nil {
		return s
	}
	if s.repo.Reference.Reference == "" {
		s.wrong = errors.New("it has no tag: want HOST/NAME:TAG")
		return s
	}
	if s.credential == nil {
		store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
		if err != nil {
			s.wrong = fmt.Errorf("the passwords of docker login: %w", err)
			return s
		}
		s.credential = credentials.Credential(store)
	}
	if s.transport == nil {
		s.transport = fetch.NewTransport()
	}
	s.repo.PlainHTTP = s.plain
	s.repo.Client = &auth.Client{
		Client:     &http.Client{Transport: &fetch.Transport{Base: s.transport}, CheckRedirect: fetch.CheckRedirect},
		Header:     http.Header{"User-Agent": {"gracex"}, "Accept-Encoding": {"identity"}},
		Cache:      auth.NewCache(),
		Credential: s.credential,
	}
	return s
}

type source struct {
	of         string
	plain      bool
	credential auth.CredentialFunc
	transport  http.RoundTripper
	repo       *remote.Repository
	wrong      error // with the reference or the options

	mu     sync.Mutex
	layers []ocispec.Descriptor // of the artifact that was offered last
}

func (s *source) String() string { return s.of }

// Head implements [release.Source]. The tag is the digest of the artifact.
func (s *source) Head(ctx context.Context, tag string) (release.Offer, error) {
	if s.wrong != nil {
		return release.Offer{}, s.error(s.wrong)
	}
	ctx, wait := fetch.WithWait(ctx)
	digest, layers, err := s.look(ctx, tag)
	if errors.Is(err, release.ErrUnchanged) {
		return release.Offer{}, err
	}
	if err != nil {
		return release.Offer{}, s.waiting(*wait, err)
	}
	for _, name := range manifests {
		m := find(layers, name)
		if m == nil {
			continue
		}
		o := release.Offer{Tag: digest}
		if o.Manifest, err = s.small(ctx, *m, name); err != nil {
			return release.Offer{}, s.waiting(*wait, err)
		}
		if sig := find(layers, name+signatureExt); sig != nil {
			if o.Signature, err = s.small(ctx, *sig, name+signatureExt); err != nil {
				return release.Offer{}, s.waiting(*wait, err)
			}
		}
		return o, nil
	}
	return release.Offer{}, s.error(fmt.Errorf("no layer has the title %s or %s", manifests[0], manifests[1]))
}

// look gets the digest of the artifact, and its layers unless the digest is known.
func (s *source) look(ctx context.Context, known string) (string, []ocispec.Descriptor, error) {
	ctx, cancel := fetch.WithSmallTimeout(ctx)
	defer cancel()
	d, err := s.repo.Resolve(ctx, s.repo.Reference.Reference)
	if err != nil {
		return "", nil, fetch.Late(ctx, err)
	}
	digest := d.Digest.String()
	if digest == known {
		return digest, nil, release.ErrUnchanged
	}
	if d.MediaType == ocispec.MediaTypeImageIndex || d.MediaType == "application/vnd.docker.distribution.manifest.list.v2+json" {
		return "", nil, errors.New("it is an index of images: the files of a release are the layers of one artifact, for all systems")
	}
	if d.Size > maxArtifact {
		return "", nil, fmt.Errorf("its manifest of %d bytes is larger than %d", d.Size, maxArtifact)
	}
	b, err := content.FetchAll(ctx, s.repo.Manifests(), d)
	if err != nil {
		return "", nil, fetch.Late(ctx, err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return "", nil, err
	}
	s.mu.Lock()
	s.layers = m.Layers
	s.mu.Unlock()
	return digest, m.Layers, nil
}

// find returns the layer with a title, or nil.
func find(layers []ocispec.Descriptor, title string) *ocispec.Descriptor {
	i := slices.IndexFunc(layers, func(d ocispec.Descriptor) bool { return d.Annotations[ocispec.AnnotationTitle] == title })
	if i < 0 {
		return nil
	}
	return &layers[i]
}

// small reads a small layer, whose digest is checked.
func (s *source) small(ctx context.Context, d ocispec.Descriptor, name string) ([]byte, error) {
	if d.Size > release.MaxManifest {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", name, fetch.ErrTooLarge, release.MaxManifest)
	}
	ctx, cancel := fetch.WithSmallTimeout(ctx)
	defer cancel()
	b, err := content.FetchAll(ctx, s.repo.Blobs(), d)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, fetch.Late(ctx, err))
	}
	return b, nil
}

// Open implements [release.Source].
func (s *source) Open(ctx context.Context, name string, at int64) (io.ReadCloser, int64, error) {
	if err := errors.Join(s.wrong, fetch.CheckName(name)); err != nil {
		return nil, 0, s.error(err)
	}
	ctx, wait := fetch.WithWait(ctx)
	s.mu.Lock()
	layers := s.layers
	s.mu.Unlock()
	if layers == nil {
		var err error
		if _, layers, err = s.look(ctx, ""); err != nil {
			return nil, 0, s.waiting(*wait, err)
		}
	}
	d := find(layers, name)
	if d == nil {
		return nil, 0, s.error(fmt.Errorf("no layer has the title %q", fetch.Printable(name)))
	}
	if at >= d.Size {
		at = 0 // what is here is of another file
	}
	body, from, err := s.blob(ctx, *d, at)
	if err != nil {
		return nil, 0, s.waiting(*wait, fmt.Errorf("%s: %w", fetch.Printable(name), err))
	}
	return fetch.Body(ctx, body, s.error), from, nil
}

// blob reads a blob from byte at on, or from its beginning if the registry does not know ranges. (The library would
// ask for the whole one first.)
func (s *source) blob(ctx context.Context, d ocispec.Descriptor, at int64) (io.ReadCloser, int64, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, 0, err
	}
	ref := s.repo.Reference
	scheme := "https"
	if s.plain {
		scheme = "http"
	}
	url := scheme + "://" + ref.Host() + "/v2/" + ref.Repository + "/blobs/" + d.Digest.String()
	req, err := http.NewRequestWithContext(auth.AppendRepositoryScope(ctx, ref, auth.ActionPull), http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, err
	}
	if at > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", at)) // by the digest it is always the same blob
	}
	resp, err := s.repo.Client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.Body, 0, nil
	case http.StatusPartialContent:
		from, _, ok := fetch.ContentRange(resp.Header.Get("Content-Range"))
		if ok && from <= at && at > 0 {
			return resp.Body, from, nil
		}
		err = fmt.Errorf("bytes from %d on were asked for, and Content-Range %q came", at, fetch.Printable(resp.Header.Get("Content-Range")))
	default:
		err = &errcode.ErrorResponse{Method: req.Method, URL: req.URL, StatusCode: resp.StatusCode}
	}
	resp.Body.Close()
	return nil, 0, err
}
