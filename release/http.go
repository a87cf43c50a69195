package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gracex-go/gracex/release/internal/fetch"
)

// HTTP is a folder of a web server, with the files of [Dir]. The address can also name the manifest in it. A user and a
// password in it are sent as Basic authentication, and its query goes with each request, as for a shared access
// signature. Neither is in a message.
//
// A manifest is asked for with the ETag that it had, and comes whole once an hour even if that is the same. A file that
// was cut goes on where it ended, if the server allows that. Redirects are followed, up to 10, and never from https to
// http.
func HTTP(address string, options ...HTTPOption) Source {
	w := &web{header: http.Header{}}
	for _, o := range options {
		o.forHTTP(w)
	}
	w.settle(address)
	s := &httpSource{web: w, names: manifests}
	if w.base != nil {
		for _, name := range manifests {
			if folder, ok := strings.CutSuffix(w.base.Path, "/"+name); ok {
				w.base.Path, w.base.RawPath, s.names = folder+"/", "", []string{name}
				w.of = fetch.Show(w.base)
			}
		}
	}
	return s
}

type httpSource struct {
	*web
	names []string // of the manifest
}

func (s *httpSource) String() string { return s.of }

// at is the address of a file in the folder.
func (s *httpSource) at(name string) *url.URL {
	if s.base == nil {
		return nil
	}
	return s.base.JoinPath(url.PathEscape(name))
}

// Head implements Source.
func (s *httpSource) Head(ctx context.Context, tag string) (Offer, error) {
	if s.wrong != nil {
		return Offer{}, s.error(s.wrong)
	}
	known := s.newer(tag)
	for _, name := range s.names {
		header := http.Header{}
		if tag == "" {
			header.Set("Cache-Control", "no-cache") // a cache on the way may have half of what is published
		} else if n, _, _ := strings.Cut(known.of, ":"); n == name && known.usable() != "" {
			header.Set("If-None-Match", known.usable())
		}
		m, err := s.small(ctx, s.at(name), header, MaxManifest, s.refused)
		switch {
		case m.missing:
			continue
		case err != nil:
			return Offer{}, s.error(err)
		case m.unchanged:
			return Offer{}, ErrUnchanged
		}
		header.Del("If-None-Match")
		sig, err := s.small(ctx, s.at(name+signatureExt), header, MaxManifest, s.refused)
		if err != nil && !sig.missing {
			return Offer{}, s.error(err)
		}
		h := hint{of: name + ":" + contentTag(m.body, sig.body), etag: settledTag(m.header), at: time.Now()}
		s.confirm(h)
		if h.of == known.of {
			return Offer{}, ErrUnchanged
		}
		return Offer{Manifest: m.body, Signature: sig.body, Tag: h.String(), NotBefore: fetch.Wait(m.header)}, nil
	}
	if len(s.names) == 1 {
		return Offer{}, s.error(fmt.Errorf("there is no %s", s.names[0]))
	}
	return Offer{}, s.error(errNoManifest)
}

// settledTag returns the ETag of a file, unless the file is so young that another one in its place can get the same:
// many servers make it of size and time, to the second.
func settledTag(h http.Header) string {
	etag := h.Get("ETag")
	if len(etag) > 256 {
		return ""
	}
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		return etag
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil || now.Sub(modified) < 2*time.Second {
		return ""
	}
	return etag
}

// Open implements Source.
func (s *httpSource) Open(ctx context.Context, name string, at int64) (io.ReadCloser, int64, error) {
	if err := errors.Join(s.wrong, fetch.CheckName(name)); err != nil {
		return nil, 0, s.error(err)
	}
	body, from, err := s.open(ctx, s.at(name), nil, name, at, s.refused)
	if err != nil {
		return nil, 0, s.error(fmt.Errorf("%s: %w", fetch.Printable(name), err))
	}
	return body, from, nil
}
