package release

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gracex-go/gracex/release/internal/fetch"
)

const (
	// hintTime is how long an ETag is believed. An origin can give two manifests the same one, and then the second
	// is found after that time.
	hintTime = time.Hour

	// maxDetail is how much of an answer that says no is read.
	maxDetail = 4 << 10
)

// web sends the requests of a source to its origin.
type web struct {
	of     string   // for messages
	base   *url.URL // without a user
	user   *url.Userinfo
	token  func(context.Context) (string, error)
	header http.Header
	client *http.Client
	roots  *x509.CertPool
	wrong  error // with the options

	mu        sync.Mutex
	etags     map[string]string // strong ones, by address: for the next part of a file
	confirmed hint
}

// hint is a Tag: what an offer is known by, and the ETag that can save the next request.
type hint struct {
	of   string // has no space in it
	etag string
	at   time.Time // of the ETag
}

func (h hint) String() string {
	if h.etag == "" {
		return h.of
	}
	return h.of + " " + strconv.FormatInt(h.at.Unix(), 10) + " " + h.etag
}

// parseHint reads a Tag.
func parseHint(tag string) hint {
	of, rest, _ := strings.Cut(tag, " ")
	at, etag, _ := strings.Cut(rest, " ")
	sec, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return hint{of: of}
	}
	return hint{of, etag, time.Unix(sec, 0)}
}

// usable returns the ETag for a request, unless it is too old, or from the future.
func (h hint) usable() string {
	if age := time.Since(h.at); age < -time.Minute || age > hintTime {
		return ""
	}
	return h.etag
}

// newer is what is known of the offer of a tag: an answer since can have had another ETag for the same.
func (w *web) newer(tag string) hint {
	h := parseHint(tag)
	w.mu.Lock()
	defer w.mu.Unlock()
	if h.of != "" && w.confirmed.of == h.of {
		return w.confirmed
	}
	return h
}

func (w *web) confirm(h hint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.confirmed = h
}

// settle reads the address of the origin, and readies the client.
func (w *web) settle(address string) {
	u, err := url.Parse(address)
	var parse *url.Error
	if errors.As(err, &parse) {
		err = parse.Err // the other one repeats the address, with a password
	}
	switch {
	case err != nil:
		w.of = "an address that is not one"
		w.wrong = errors.Join(w.wrong, errors.New(fetch.Printable(err.Error())))
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		w.of = fetch.Show(u)
		w.wrong = errors.Join(w.wrong, errors.New("not the address of a web server: want https://HOST/FOLDER"))
	default:
		w.user, u.User, u.Fragment = u.User, nil, ""
		w.of, w.base = fetch.Show(u), u
	}
	if w.client == nil {
		t := fetch.NewTransport()
		if w.roots != nil {
			t.TLSClientConfig = &tls.Config{RootCAs: w.roots, MinVersion: tls.VersionTLS12}
		}
		w.client = &http.Client{Transport: t}
	} else if w.roots != nil {
		w.wrong = errors.Join(w.wrong, errors.New("the options Client and CA exclude each other: give the client's transport the certificates"))
	}
	base, own := w.client.Transport, w.client.CheckRedirect
	if base == nil {
		base = http.DefaultTransport
	}
	w.client.Transport = &fetch.Transport{Base: base}
	w.client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if err := fetch.CheckRedirect(req, via); err != nil || own == nil {
			return err
		}
		return own(req, via)
	}
	w.etags = map[string]string{}
}

// get asks for u, which is at the origin, and returns any answer.
func (w *web) get(ctx context.Context, u *url.URL, header http.Header) (*http.Response, error) {
	if w.wrong != nil {
		return nil, w.wrong
	}
	if !fetch.SameOrigin(w.base, u) {
		return nil, errors.New("it leads to " + fetch.Show(u) + ", which is not its own address")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fetch.Explain(err)
	}
	req.Header.Set("User-Agent", "gracex")
	// Otherwise a proxy on the way can send other bytes than the ones that were signed.
	req.Header.Set("Accept-Encoding", "identity")
	maps.Copy(req.Header, header)
	maps.Copy(req.Header, w.header)
	if w.user != nil {
		password, _ := w.user.Password()
		req.SetBasicAuth(w.user.Username(), password)
	}
	if w.token != nil {
		token, err := w.token(ctx)
		if err != nil {
			return nil, fmt.Errorf("its token: %w", err)
		}
		if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, errors.New("its token: it has white space or other characters in it that no token has")
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, fetch.Explain(err)
	}
	return resp, nil
}

// authorized reports whether a request identifies itself.
func (w *web) authorized() bool { return w.user != nil || w.token != nil || len(w.header) > 0 }

// small is a small answer. If missing is true there is no such file. unchanged means the answer 304.
type small struct {
	body               []byte
	header             http.Header
	missing, unchanged bool
}

// small reads a small answer.
func (w *web) small(ctx context.Context, u *url.URL, header http.Header, limit int64, refused refusal) (small, error) {
	ctx, cancel := fetch.WithSmallTimeout(ctx)
	defer cancel()
	resp, err := w.get(ctx, u, header)
	if err != nil {
		return small{}, fetch.Late(ctx, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotModified:
		return small{header: resp.Header, unchanged: true}, nil
	case http.StatusNotFound, http.StatusGone:
		return small{missing: true}, refused(resp)
	default:
		return small{}, refused(resp)
	}
	if err := encoded(resp); err != nil {
		return small{}, err
	}
	b, err := fetch.ReadSmall(resp.Body, limit)
	if err != nil {
		return small{}, fetch.Late(ctx, err)
	}
	if page(resp.Header, b) {
		return small{}, errPage(resp)
	}
	return small{body: b, header: resp.Header}, nil
}

// open reads a file from byte at on.
func (w *web) open(ctx context.Context, u *url.URL, header http.Header, name string, at int64, refused refusal) (io.ReadCloser, int64, error) {
	key := u.String()
	header = header.Clone()
	if header == nil {
		header = http.Header{}
	}
	for {
		header.Del("Range")
		header.Del("If-Range")
		if at > 0 {
			header.Set("Range", fmt.Sprintf("bytes=%d-", at))
			w.mu.Lock()
			etag := w.etags[key]
			w.mu.Unlock()
			if etag != "" {
				header.Set("If-Range", etag) // other bytes come from their beginning
			}
		}
		resp, err := w.get(ctx, u, header)
		if err != nil {
			return nil, 0, err
		}
		var from int64
		switch resp.StatusCode {
		case http.StatusOK:
		case http.StatusPartialContent:
			f, _, ok := fetch.ContentRange(resp.Header.Get("Content-Range"))
			if !ok || f > at || at == 0 {
				err = fmt.Errorf("bytes from %d on were asked for, and Content-Range %q came", at, fetch.Printable(resp.Header.Get("Content-Range")))
			}
			from = f
		case http.StatusRequestedRangeNotSatisfiable:
			resp.Body.Close()
			if at > 0 { // the file is shorter than the part of it that is here: it is another one
				at = 0
				continue
			}
			err = errors.New(resp.Status)
		default:
			err = refused(resp)
		}
		// Of a packed file a web server can call the packing a content encoding, as Apache's AddEncoding does. The bytes
		// are those of the file then.
		if err == nil && packing(name) == packedNot {
			err = encoded(resp)
		}
		r := bufio.NewReaderSize(resp.Body, 512)
		if err == nil && from == 0 {
			start, _ := r.Peek(512) // an error is for the one who reads
			if page(resp.Header, start) {
				err = errPage(resp)
			}
		}
		if err != nil {
			resp.Body.Close()
			return nil, 0, err
		}
		w.mu.Lock()
		w.etags[key] = fetch.StrongETag(resp.Header)
		w.mu.Unlock()
		whole := struct {
			io.Reader
			io.Closer
		}{r, resp.Body}
		return fetch.Body(ctx, whole, func(err error) error { return unavailable(fetch.Show(u), err) }), from, nil
	}
}

func encoded(resp *http.Response) error {
	if e := resp.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return fmt.Errorf("it was encoded on the way, as %s, which nobody asked for: these are not the bytes that were signed", fetch.Printable(e))
	}
	return nil
}

// page reports whether an answer is a page for a person, such as a login's or a proxy's.
func page(h http.Header, start []byte) bool {
	t, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return (t == "text/html" || t == "application/xhtml+xml") && bytes.HasPrefix(bytes.TrimLeft(start, "\ufeff \t\r\n"), []byte("<"))
}

func errPage(resp *http.Response) error {
	return errors.New("a page for a person came, not a file: is " + fetch.Show(resp.Request.URL) + " a login, or a proxy's page?")
}

// refusal makes an error of an answer that is not the file.
type refusal func(*http.Response) error

// refused is the refusal of a web server.
func (w *web) refused(resp *http.Response) error {
	err := errors.New(status(resp))
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		err = fmt.Errorf("%w: %s", err, choose(w.authorized(), "the token or the password is not accepted", "it wants a token or a password: TokenFile"))
	case http.StatusForbidden:
		err = fmt.Errorf("%w: %s", err, choose(w.authorized(), "the token or the password gives no right to it, or there is no such file", "it wants a token or a password (TokenFile), or there is no such file"))
	case http.StatusNotFound, http.StatusGone:
		err = fmt.Errorf("%w: there is no such file", err)
	case http.StatusProxyAuthRequired:
		err = fmt.Errorf("%w: the proxy of HTTP_PROXY or HTTPS_PROXY wants a password", err)
	}
	return waiting(resp, err)
}

func choose(cond bool, yes, no string) string {
	if cond {
		return yes
	}
	return no
}

// status is an answer's status line, with the address if a redirect has led there.
func status(resp *http.Response) string {
	s := fetch.Printable(resp.Status)
	if first := resp.Request; first.Response != nil { // it was the answer to a redirect
		s += " from " + fetch.Show(first.URL)
	}
	return s
}

// waiting adds what the origin has said of when to ask again.
func waiting(resp *http.Response, err error) error {
	if wait := fetch.Wait(resp.Header); wait > 0 {
		return &WaitError{wait, fmt.Errorf("%w; it wants to be asked again in %v", err, wait)}
	}
	return err
}

// error is err with the origin's name.
func (w *web) error(err error) error {
	if err == nil {
		return nil
	}
	var wait *WaitError
	if errors.As(err, &wait) {
		return &WaitError{wait.Wait, fmt.Errorf("%w: %s: %w", ErrNotTried, w.of, wait.Err)}
	}
	if errors.Is(err, fetch.ErrTooLarge) {
		return fmt.Errorf("%w: %s: %w", ErrNotAccepted, w.of, err)
	}
	return unavailable(w.of, err)
}
