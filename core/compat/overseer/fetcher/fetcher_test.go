package fetcher

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

const prog = "\x7fELF and so on"

func packed(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	z.Close()
	return b.String()
}

// expect checks what the next Fetch returns; nothing for no program.
func expect(t *testing.T, f Interface, want string) io.Reader {
	t.Helper()
	r := must.Get(f.Fetch())(t)
	if r == nil {
		if want != "" {
			t.Fatalf("nothing new, want %q", want)
		}
		return nil
	}
	defer r.(io.Closer).Close()
	if got := string(must.Get(io.ReadAll(r))(t)); got != want {
		t.Fatalf("%q, want %q", got, want)
	}
	return r
}

func expectSignature(t *testing.T, r io.Reader, want string) {
	t.Helper()
	if got := string(must.Get(r.(Signed).Signature())(t)); got != want {
		t.Errorf("signature %q, want %q", got, want)
	}
}

func TestInit_NamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]Interface{
		"fetcher.File needs a Path":   &File{},
		"fetcher.HTTP needs a URL":    &HTTP{},
		"missing protocol scheme":     &HTTP{URL: "://x"},
		"fetcher.Github needs a User": &Github{},
		"fetcher.Github needs a Repo": &Github{User: "u"},
		"fetcher.S3 needs a Bucket":   &S3{},
		"fetcher.S3 needs a Key":      &S3{Bucket: "b"},
	} {
		if err := f.Init(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%T: %v, want %q", f, err, want)
		}
	}
}

func TestFunc(t *testing.T) {
	t.Parallel()
	f := Func(func() (io.Reader, error) { return nil, io.ErrNoProgress })
	must.Do(t, f.Init())
	if _, err := f.Fetch(); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

// server answers what is at a path now, with an ETag. The texts of a path ending in "!" break in the middle.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string]string
	asked map[string]int
}

// set has a text at a path.
func (s *server) set(path, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[path] = text
}

// times is how often it was asked for that.
func (s *server) times(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[what]
}

func newServer(t *testing.T) *server {
	s := &server{files: map[string]string{}, asked: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[r.Method+" "+r.URL.Path]++
	text, ok := s.files[r.URL.Path]
	tag := fmt.Sprintf("%q", fmt.Sprint(len(text), text[:min(4, len(text))]))
	switch {
	case !ok:
		http.NotFound(w, r)
		return
	case r.Header.Get("If-None-Match") == tag:
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if e := r.Header.Get("Accept-Encoding"); e != "identity" {
		http.Error(w, "accepts "+e, http.StatusBadRequest)
		return
	}
	w.Header().Set("ETag", tag)
	whole, cut := strings.CutSuffix(text, "!")
	w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
	if cut {
		whole = whole[:len(whole)/2]
	}
	io.WriteString(w, whole)
}

// TestHTTP_IsReadAgain until it was read to its end.
func TestHTTP_IsReadAgain(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	f := &HTTP{URL: s.URL + "/shop.gz", Interval: time.Millisecond}
	must.Do(t, f.Init())
	if _, err := f.Fetch(); err == nil || !strings.Contains(err.Error(), "status 404") {
		t.Errorf("%v", err)
	}
	s.set("/shop.gz", packed(prog)+"!")
	r := must.Get(f.Fetch())(t)
	if _, err := io.ReadAll(r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
	must.Do(t, r.(io.Closer).Close())
	s.set("/shop.gz", packed(prog))
	s.set("/shop.minisig", "signed")
	r = must.Get(f.Fetch())(t)
	must.Do(t, r.(io.Closer).Close()) // without a look at it
	expectSignature(t, expect(t, f, prog), "signed")
	expect(t, f, "")
	expect(t, f, "")
	s.set("/shop.gz", packed("another"))
	expect(t, f, "another")
	expect(t, f, "")
	if n := s.times("GET /shop.gz"); n != 4 {
		t.Errorf("it was got %d times", n)
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "next")
	must.Do(t, os.WriteFile(path, []byte("old"), 0o755))
	f := &File{Path: path}
	must.Do(t, f.Init())
	f.Interval = time.Millisecond
	expect(t, f, "")
	must.Do(t, os.WriteFile(path+".new", []byte(prog), 0o755))
	must.Do(t, os.Rename(path+".new", path))
	must.Do(t, os.WriteFile(path+".minisig", []byte("signed"), 0o644))
	expectSignature(t, expect(t, f, prog), "signed")
	expect(t, f, "")
	must.Do(t, os.Remove(path))
	expect(t, f, "")
	if runtime.GOOS == "windows" {
		return
	}
	must.Do(t, os.WriteFile(path, []byte("theirs"), 0o755))
	must.Do(t, os.Chmod(path, 0o777))
	if _, err := f.Fetch(); err == nil || !strings.Contains(err.Error(), "can be written by everybody") {
		t.Errorf("%v", err)
	}
}

func TestGithub(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	name := "shop-" + runtime.GOOS + "-" + runtime.GOARCH
	listing := func(id int, names ...string) string {
		var assets []asset
		for _, n := range names {
			assets = append(assets, asset{ID: int64(id), Name: n, URL: s.URL + "/dl/" + n})
			s.set("/dl/"+n, n)
		}
		return string(must.Get(json.Marshal(map[string]any{"tag_name": fmt.Sprint("v", id), "assets": assets}))(t))
	}
	const at = "/repos/u/r/releases/latest"
	f := &Github{User: "u", Repo: "r", Interval: time.Millisecond, API: s.URL + "/"}
	must.Do(t, f.Init())
	s.set(at, listing(1, "shop-plan9-amd64"))
	if _, err := f.Fetch(); err == nil || !strings.Contains(err.Error(), "no asset of release v1 of u/r is for") {
		t.Errorf("%v", err)
	}
	s.set(at, listing(2, name+".sha256", name+"x", name+".tar.gz", name+".gz", name+".minisig"))
	s.set("/dl/"+name+".gz", packed(prog))
	expectSignature(t, expect(t, f, prog), name+".minisig")
	expect(t, f, "")
	s.set(at, listing(30, name))
	expect(t, f, name)
	if n := s.times("GET /dl/" + name + ".gz"); n != 1 {
		t.Errorf("it was got %d times", n)
	}
}

// TestS3 with a server that believes every signature.
func TestS3(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	f := &S3{Access: "id", Secret: "secret", Bucket: "rel", Key: "a b/shop.gz", Interval: time.Millisecond, Endpoint: s.URL}
	must.Do(t, f.Init())
	s.set("/rel/a b/shop.gz", packed(prog))
	s.set("/rel/a b/shop.minisig", "signed")
	expectSignature(t, expect(t, f, prog), "signed")
	expect(t, f, "")
}

// TestSign_AmazonsExample is "GET Object" of "Authenticating Requests: Using the Authorization Header (AWS Signature
// Version 4)" in the API reference of Amazon S3.
func TestSign_AmazonsExample(t *testing.T) {
	t.Parallel()
	req := must.Get(http.NewRequest(http.MethodGet, "https://examplebucket.s3.amazonaws.com/test.txt", http.NoBody))(t)
	req.Header.Set("Range", "bytes=0-9")
	c := credentials{id: "AKIAIOSFODNN7EXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	c.sign(req, "us-east-1", time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC))
	const want = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request," +
		"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
	if got := req.Header.Get("Authorization"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestS3_Addresses(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]S3{
		"https://rel.s3.ap-southeast-2.amazonaws.com/shop":                {Bucket: "rel", Key: "shop"},
		"https://s3.eu-west-1.amazonaws.com/rel.example.org/a%2Bb/%C3%BC": {Bucket: "rel.example.org", Key: "/a+b/ü", Region: "eu-west-1"},
		"http://127.0.0.1:9000/rel/shop":                                  {Bucket: "rel", Key: "shop", Endpoint: "http://127.0.0.1:9000/"},
	} {
		must.Do(t, s.Init())
		if got := must.Get(s.object(s.Key))(t).String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestS3_RoleOfMachine: the credentials come from the machine if no others are given.
func TestS3_RoleOfMachine(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/api/token":
			io.WriteString(w, "t0ken")
		case r.Header.Get("X-aws-ec2-metadata-token") != "t0ken":
			http.Error(w, "", http.StatusUnauthorized)
		case strings.HasSuffix(r.URL.Path, "/security-credentials/"):
			io.WriteString(w, "shop\n")
		case strings.HasSuffix(r.URL.Path, "/security-credentials/shop"):
			io.WriteString(w, `{"AccessKeyId":"id","SecretAccessKey":"secret","Token":"session"}`)
		}
	}))
	defer srv.Close()
	if c, err := roleOfMachine(t.Context(), srv.URL+"/"); err != nil || c != (credentials{"id", "secret", "session"}) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestDefaultAsset(t *testing.T) {
	t.Parallel()
	own := runtime.GOOS + "-" + runtime.GOARCH
	for name, want := range map[string]bool{
		"shop-" + own: true, own + ".gz": true, "shop_1.2_" + runtime.GOOS + "_" + runtime.GOARCH: true,
		"shop-" + own + "x": false, "shop-" + own + ".sha256": false, "shop-" + own + ".minisig": false,
		"shop-" + own + ".tar.gz": false, "shop-" + runtime.GOOS: false, "shop-" + runtime.GOARCH: false, "": false,
	} {
		if got := defaultAsset(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
