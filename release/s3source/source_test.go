package s3source_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/internal/sourcetest"
	"github.com/gracex-go/gracex/release/s3source"
)

// answers is a transport without a network.
type answers func(*http.Request) *http.Response

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := a(r)
	resp.Request = r
	return resp, nil
}

func answer(code int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

func TestSource_Says(t *testing.T) {
	t.Parallel()
	no := func(status int, code string, header ...string) *http.Response {
		return answer(status, "<Error><Code>"+code+"</Code><Message>no</Message></Error>", header...)
	}
	for _, c := range []struct {
		answer *http.Response
		wait   time.Duration
		want   string
	}{
		{no(403, "AccessDenied"), 0, "the credentials need s3:GetObject, or there is no such object and they lack s3:ListBucket"},
		{no(404, "NoSuchBucket"), 0, "are bucket, region and endpoint right?"},
		{no(403, "RequestTimeTooSkewed"), 0, "this machine's clock is wrong"},
		{no(403, "ExpiredToken"), 0, "the credentials are wrong, or old"},
		{no(503, "SlowDown"), 0, "503 SlowDown"},
		{no(503, "SlowDown", "Retry-After", "7"), 7 * time.Second, "it wants to be asked again in 7s"},
		{answer(500, "\x1b[2J"), 0, `500 : \x1b[2J`},
	} {
		asked := 0
		src := s3source.New("rel", "shop", s3source.Endpoint("https://s3.example"), s3source.Region("x"), s3source.Anonymous(),
			s3source.Transport(answers(func(*http.Request) *http.Response {
				asked++
				return c.answer
			})))
		_, err := src.Head(t.Context(), "")
		if err == nil {
			t.Fatal("no error")
		}
		sourcetest.NotTried(t, err)
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "s3://rel/shop at https://s3.example: ") {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
		if asked != 1 {
			t.Errorf("%s: asked %d times", c.want, asked)
		}
		var wait *release.WaitError
		if errors.As(err, &wait) != (c.wait > 0) || wait != nil && wait.Wait != c.wait {
			t.Errorf("%+v", wait)
		}
	}
}

func TestNew_BadEndpoints(t *testing.T) {
	t.Parallel()
	for _, e := range []string{"", "s3.example", "ftp://s3.example", "https://me:s3cret@s3.example", "https://s3.example/rel", "https://s3.example:s3cret"} {
		src := s3source.New("rel", "", s3source.Endpoint(e), s3source.Anonymous())
		_, err := src.Head(t.Context(), "")
		if err == nil {
			t.Fatalf("%q is accepted", e)
		}
		sourcetest.NotTried(t, err)
		_, _, err = src.Open(t.Context(), "shop", 0)
		sourcetest.NotTried(t, err)
	}
	if got := s3source.New("rel", "/shop/", s3source.Anonymous()).String(); got != "s3://rel/shop" {
		t.Error(got)
	}
}

// TestSource_Addresses: where the bucket is in the address, and by which credentials.
func TestSource_Addresses(t *testing.T) { //nolint:paralleltest // it sets the environment
	home := t.TempDir()
	t.Setenv("HOME", home)
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "MINIO_ROOT_USER",
		"MINIO_ACCESS_KEY", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_REGION", "AWS_DEFAULT_REGION",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	asked := func(o ...s3source.Option) (host, path, auth string) {
		t.Helper()
		src := s3source.New("rel", "shop", append(o, s3source.Transport(answers(func(r *http.Request) *http.Response {
			host, path, auth = r.URL.Host, r.URL.Path, r.Header.Get("Authorization")
			return answer(200, "{}", "ETag", `"x"`, "Last-Modified", "Mon, 30 Nov 2026 12:00:00 GMT")
		})))...)
		must.Get(src.Head(t.Context(), ""))(t)
		return host, path, auth
	}
	host, path, auth := asked(s3source.Region("eu-central-1"))
	if host != "rel.s3.dualstack.eu-central-1.amazonaws.com" || path != "/shop/release.json.minisig" || auth != "" {
		t.Error(host, path, auth)
	}
	host, path, _ = asked(s3source.Region("eu-central-1"), s3source.PathStyle())
	if host != "s3.dualstack.eu-central-1.amazonaws.com" || path != "/rel/shop/release.json.minisig" {
		t.Error(host, path)
	}
	must.Do(t, os.Mkdir(filepath.Join(home, ".aws"), 0o700))
	must.Do(t, os.WriteFile(filepath.Join(home, ".aws", "credentials"), []byte("[default]\naws_access_key_id = FILE\naws_secret_access_key = s3cret\n"), 0o600))
	t.Setenv("AWS_REGION", "eu-west-1")
	if _, _, auth = asked(); !strings.Contains(auth, "Credential=FILE/") || !strings.Contains(auth, "/eu-west-1/s3/") {
		t.Error(auth)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "ENV")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
	if _, _, auth = asked(); !strings.Contains(auth, "Credential=ENV/") {
		t.Error(auth)
	}
	if _, _, auth = asked(s3source.Anonymous()); auth != "" {
		t.Error(auth)
	}
}

// TestSource_EndsAnOriginThatStandsStill: the library waits for ever by itself.
func TestSource_EndsAnOriginThatStandsStill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := s3source.New("rel", "", s3source.Endpoint("http://s3.example"), s3source.Region("x"), s3source.Anonymous(),
			s3source.Transport(answers(func(r *http.Request) *http.Response {
				resp := answer(200, "", "ETag", `"x"`, "Last-Modified", "Mon, 30 Nov 2026 12:00:00 GMT")
				resp.ContentLength, resp.Body = 10, still{r}
				return resp
			})))
		begin := time.Now()
		body, _, err := src.Open(t.Context(), "shop", 0)
		must.Do(t, err)
		_, err = io.ReadAll(body)
		body.Close()
		sourcetest.NotTried(t, err)
		if took := time.Since(begin); took != time.Minute {
			t.Error(took)
		}
	})
}

// still gives nothing until its request ends.
type still struct{ r *http.Request }

func (s still) Read([]byte) (int, error) {
	<-s.r.Context().Done()
	return 0, s.r.Context().Err()
}

func (still) Close() error { return nil }
