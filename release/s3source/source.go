package s3source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/internal/fetch"
)

const (
	amazon = "https://s3.amazonaws.com"

	// metadataTimeout is how long to wait for the credentials of the machine. There is none outside a cloud.
	metadataTimeout = 5 * time.Second
)

var manifests = []string{"release.json", "SHA256SUMS"}

const signatureExt = ".minisig"

// Option is an option of [New].
type Option func(*source)

// Endpoint is the address of the server, as in "https://minio.example.org". The default is Amazon's.
func Endpoint(address string) Option { return func(s *source) { s.endpoint = address } }

// Region is the region of the bucket. The default is that of AWS_REGION or AWS_DEFAULT_REGION. Without any of them
// the server is asked for it, which needs the right s3:GetBucketLocation.
func Region(name string) Option { return func(s *source) { s.options.Region = name } }

// PathStyle puts the bucket in the path of the address. Without it Amazon's, Google's and Aliyun's buckets are in
// the name of the host, and others' in the path.
func PathStyle() Option { return func(s *source) { s.options.BucketLookup = minio.BucketLookupPath } }

// Credentials replaces the default, which are the first ones found: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
// MINIO_ROOT_USER and MINIO_ROOT_PASSWORD, the files ~/.aws/credentials and ~/.mc/config.json, and the role of the
// machine, container or pod, unless AWS_EC2_METADATA_DISABLED is true. Without any the bucket is read as anybody can.
func Credentials(c *credentials.Credentials) Option { return func(s *source) { s.options.Creds = c } }

// Anonymous reads a public bucket without looking for credentials.
func Anonymous() Option {
	return Credentials(credentials.NewStatic("", "", "", credentials.SignatureAnonymous))
}

// Transport sends the requests. Without it there is one that takes its proxies from the environment. A transfer that
// stands still ends with either.
func Transport(t http.RoundTripper) Option { return func(s *source) { s.options.Transport = t } }

// New returns a source of the objects of a bucket whose names begin with prefix and a slash. An empty prefix means
// all. What is wrong with the options is said when the source is used.
func New(bucket, prefix string, options ...Option) release.Source {
	s := &source{bucket: bucket, prefix: strings.Trim(prefix, "/"), endpoint: amazon, etags: map[string]string{}}
	s.options.MaxRetries = 1 // it is for the caller to ask again, who knows how long to wait
	for _, o := range options {
		o(s)
	}
	s.of = "s3://" + fetch.Printable(path.Join(bucket, s.prefix))
	u, err := url.Parse(s.endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		s.wrong = errors.New("its endpoint is not an address like https://HOST")
		return s
	}
	if s.endpoint != amazon {
		s.of += " at " + fetch.Show(u)
	}
	if s.options.Region == "" {
		s.options.Region = firstOf("AWS_REGION", "AWS_DEFAULT_REGION")
	}
	if s.options.Transport == nil {
		s.options.Transport = fetch.NewTransport()
	}
	s.options.Transport = &fetch.Transport{Base: s.options.Transport}
	if s.options.Creds == nil {
		s.options.Creds = credentials.NewChainCredentials(providers())
	}
	s.options.Secure = u.Scheme == "https"
	s.client.Client, s.wrong = minio.New(u.Host, &s.options)
	return s
}

func firstOf(names ...string) string {
	for _, n := range names {
		if v := os.Getenv(n); v != "" {
			return v
		}
	}
	return ""
}

// providers are those of the default credentials, in their order.
func providers() []credentials.Provider {
	p := []credentials.Provider{
		&credentials.EnvAWS{}, &credentials.EnvMinio{}, &credentials.FileAWSCredentials{}, &credentials.FileMinioClient{},
	}
	switch {
	case firstOf("AWS_WEB_IDENTITY_TOKEN_FILE") != "":
		p = append(p, &credentials.IAM{}) // of a service in the network, by the client of the bucket
	case firstOf("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI") != "",
		!strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true"):
		// Of the machine itself, so no proxy. A machine without it may answer nothing at all.
		p = append(p, &credentials.IAM{Client: &http.Client{Timeout: metadataTimeout, Transport: &http.Transport{DisableKeepAlives: true}}})
	}
	return p
}

type source struct {
	bucket, prefix, endpoint string
	of                       string
	options                  minio.Options
	client                   minio.Core
	wrong                    error // with the options

	mu    sync.Mutex
	etags map[string]string // by name: for the next part of a file
}

func (s *source) String() string { return s.of }

// Head implements [release.Source]. The tag is the manifest's name and ETag.
func (s *source) Head(ctx context.Context, tag string) (release.Offer, error) {
	if s.wrong != nil {
		return release.Offer{}, s.error(s.wrong)
	}
	of, etag, _ := strings.Cut(tag, " ")
	for _, name := range manifests {
		var o minio.GetObjectOptions
		if of == name && etag != "" {
			if err := o.SetMatchETagExcept(etag); err != nil {
				return release.Offer{}, s.error(err)
			}
		}
		m, newTag, err := s.small(ctx, name, o)
		switch code(err) {
		case http.StatusNotModified:
			return release.Offer{}, release.ErrUnchanged
		case http.StatusNotFound:
			if minio.ToErrorResponse(err).Code == minio.NoSuchBucket {
				return release.Offer{}, s.error(err)
			}
			continue
		}
		if err != nil {
			return release.Offer{}, s.error(err)
		}
		sig, _, err := s.small(ctx, name+signatureExt, minio.GetObjectOptions{})
		if err != nil && code(err) != http.StatusNotFound {
			return release.Offer{}, s.error(err)
		}
		offer := release.Offer{Manifest: m, Signature: sig}
		if newTag != "" {
			offer.Tag = name + " " + newTag
		}
		return offer, nil
	}
	return release.Offer{}, s.error(fmt.Errorf("there is neither %s nor %s", manifests[0], manifests[1]))
}

// small reads a manifest or a signature.
func (s *source) small(ctx context.Context, name string, o minio.GetObjectOptions) ([]byte, string, error) {
	ctx, cancel := fetch.WithSmallTimeout(ctx)
	defer cancel()
	body, info, _, err := s.get(ctx, name, o)
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	b, err := fetch.ReadSmall(body, release.MaxManifest)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", name, fetch.Late(ctx, err))
	}
	return b, info.ETag, nil
}

// get asks for an object. An answer that says no is a [minio.ErrorResponse], perhaps in a [release.WaitError].
func (s *source) get(ctx context.Context, name string, o minio.GetObjectOptions) (io.ReadCloser, minio.ObjectInfo, http.Header, error) {
	ctx, wait := fetch.WithWait(ctx)
	body, info, header, err := s.client.GetObject(ctx, s.bucket, path.Join(s.prefix, name), o)
	if err != nil {
		err = fetch.Late(ctx, err)
		if *wait > 0 {
			err = &release.WaitError{Wait: *wait, Err: err}
		}
		return nil, info, nil, err
	}
	return body, info, header, nil
}

// code is the status of the answer that an error is about, or 0.
func code(err error) int {
	var e minio.ErrorResponse
	if errors.As(err, &e) {
		return e.StatusCode
	}
	return 0
}

// Open implements [release.Source].
func (s *source) Open(ctx context.Context, name string, at int64) (io.ReadCloser, int64, error) {
	if err := errors.Join(s.wrong, fetch.CheckName(name)); err != nil {
		return nil, 0, s.error(err)
	}
	for {
		var o minio.GetObjectOptions
		if at > 0 {
			s.mu.Lock()
			etag := s.etags[name]
			s.mu.Unlock()
			err := o.SetRange(at, 0) // to its end
			if err == nil && etag != "" {
				err = o.SetMatchETag(etag)
			}
			if err != nil {
				return nil, 0, s.error(err)
			}
		}
		body, info, header, err := s.get(ctx, name, o)
		if c := code(err); at > 0 && (c == http.StatusPreconditionFailed || c == http.StatusRequestedRangeNotSatisfiable) {
			at = 0 // it is another object than the one whose part is here
			continue
		}
		if err != nil {
			return nil, 0, s.error(fmt.Errorf("%s: %w", fetch.Printable(name), err))
		}
		var from int64
		if r := header.Get("Content-Range"); r != "" {
			var ok bool
			if from, _, ok = fetch.ContentRange(r); !ok || from > at {
				body.Close()
				return nil, 0, s.error(fmt.Errorf("bytes from %d on were asked for, and Content-Range %q came", at, fetch.Printable(r)))
			}
		}
		s.mu.Lock()
		s.etags[name] = info.ETag
		s.mu.Unlock()
		return fetch.Body(ctx, body, s.error), from, nil
	}
}

// error is what the caller of the source gets.
func (s *source) error(err error) error {
	if errors.Is(err, fetch.ErrTooLarge) {
		return fmt.Errorf("%w: %s: %w", release.ErrNotAccepted, s.of, err)
	}
	said := s.explain(err)
	var wait *release.WaitError
	if errors.As(err, &wait) {
		return &release.WaitError{Wait: wait.Wait, Err: fmt.Errorf("%w: %s: %w; it wants to be asked again in %v", release.ErrNotTried, s.of, said, wait.Wait)}
	}
	return fmt.Errorf("%w: %s: %w", release.ErrNotTried, s.of, said)
}

// explain names the remedy.
func (s *source) explain(err error) error {
	var e minio.ErrorResponse
	if !errors.As(err, &e) {
		return fetch.Explain(err)
	}
	text := fetch.Printable(fmt.Sprintf("%d %s: %s", e.StatusCode, e.Code, e.Message))
	if e.Key != "" {
		text = fetch.Printable(path.Base(e.Key)) + ": " + text
	}
	switch {
	case e.Code == minio.NoSuchBucket:
		text += "; are bucket, region and endpoint right?"
	case e.Code == "AuthorizationHeaderMalformed" || e.Code == "PermanentRedirect" || e.StatusCode == http.StatusMovedPermanently:
		text += "; the bucket is in another region: option Region"
	case e.Code == "RequestTimeTooSkewed":
		text += "; this machine's clock is wrong"
	case e.Code == "InvalidAccessKeyId" || e.Code == "SignatureDoesNotMatch" || e.Code == "ExpiredToken":
		text += "; the credentials are wrong, or old"
	case e.StatusCode == http.StatusForbidden:
		text += "; the credentials need s3:GetObject, or there is no such object and they lack s3:ListBucket"
	}
	return failure{text, err}
}

// failure is an error with a text of its own.
type failure struct {
	text string
	error
}

func (f failure) Error() string { return f.text }
func (f failure) Unwrap() error { return f.error }
