package fetcher

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// S3 asks for the headers of an object, and gets it when its ETag has changed. The first time it always does. A key that
// ends in .gz is decompressed. The signature of the key shop.gz is the object shop.minisig, and is the signature of the
// program itself.
type S3 struct {
	// Access and Secret are the credentials. Without both, those of the environment are taken (AWS_ACCESS_KEY_ID or
	// AWS_ACCESS_KEY, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), and without these the role of the machine on EC2.
	Access, Secret string

	Region      string // empty: ap-southeast-2, as in package overseer
	Bucket, Key string
	Interval    time.Duration // between two looks; 0: 5 min
	HeadTimeout time.Duration // 0: 5 s
	GetTimeout  time.Duration // 0: 5 min

	// Endpoint is the address of another server than Amazon's, such as https://minio.example.org. The bucket is the first
	// part of the path there. Package overseer does not have it.
	Endpoint string

	delay bool
	last  string // ETag of what was read
}

// Init checks Bucket and Key, and sets the rest.
func (s *S3) Init() error {
	switch {
	case s.Bucket == "":
		return errors.New("fetcher.S3 needs a Bucket")
	case s.Key == "":
		return errors.New("fetcher.S3 needs a Key")
	}
	if s.Region == "" {
		s.Region = "ap-southeast-2"
	}
	if s.Interval <= 0 {
		s.Interval = defaultInterval
	}
	if s.HeadTimeout <= 0 {
		s.HeadTimeout = 5 * time.Second
	}
	if s.GetTimeout <= 0 {
		s.GetTimeout = 5 * time.Minute
	}
	_, err := s.object(s.Key)
	return err
}

// Fetch waits for Interval, but not the first time, and returns the object if it is another one than was read to its end.
func (s *S3) Fetch() (io.Reader, error) {
	if s.delay {
		time.Sleep(s.Interval)
	}
	s.delay = true
	head, err := s.request(http.MethodHead, s.Key)
	if err != nil {
		return nil, err
	}
	resp, err := get(head, s.HeadTimeout)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	if tag := resp.Header.Get("ETag"); tag != "" && tag == s.last {
		return nil, nil
	}
	req, err := s.request(http.MethodGet, s.Key)
	if err != nil {
		return nil, err
	}
	if resp, err = get(req, s.GetTimeout); err != nil {
		return nil, err
	}
	tag := resp.Header.Get("ETag")
	return program(resp, s.Key, func() { s.last = tag }, func() ([]byte, error) {
		req, err := s.request(http.MethodGet, signatureOf(s.Key))
		if err != nil {
			return nil, err
		}
		return small(req)
	})
}

// object is the address of an object.
func (s *S3) object(key string) (*url.URL, error) {
	at := "https://" + s.Bucket + ".s3." + s.Region + ".amazonaws.com/"
	switch {
	case s.Endpoint != "":
		at = strings.TrimSuffix(s.Endpoint, "/") + "/" + s.Bucket + "/"
	case strings.Contains(s.Bucket, "."): // which no certificate is for
		at = "https://s3." + s.Region + ".amazonaws.com/" + s.Bucket + "/"
	}
	u, err := url.Parse(at)
	if err != nil {
		return nil, err
	}
	u.Path += strings.TrimPrefix(key, "/")
	u.RawPath = escapePath(u.Path)
	return u, nil
}

func (s *S3) request(method, key string) (*http.Request, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.HeadTimeout)
	defer cancel()
	c, err := s.credentials(ctx)
	if err != nil {
		return nil, err
	}
	at, err := s.object(key)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(context.Background(), method, at.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.URL = at
	c.sign(req, s.Region, time.Now())
	return req, nil
}
