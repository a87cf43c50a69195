package fetch

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// origin answers by a function, without a network.
type origin func(*http.Request) (*http.Response, error)

func (o origin) RoundTrip(r *http.Request) (*http.Response, error) { return o(r) }

// dripping is a body that gives n bytes every so often, and ends with its request.
type dripping struct {
	r     *http.Request
	n     int
	every time.Duration
	left  int
}

func (d *dripping) Read(p []byte) (int, error) {
	if d.left <= 0 {
		return 0, io.EOF
	}
	select {
	case <-d.r.Context().Done():
		return 0, d.r.Context().Err()
	case <-time.After(d.every):
	}
	n := min(d.n, d.left, len(p))
	d.left -= n
	return n, nil
}

func (d *dripping) Close() error { return nil }

func TestTransport_EndsAnOriginThatStandsStill(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		n     int
		every time.Duration
		want  error
		after time.Duration
	}{
		{"nothing comes", 1, 24 * time.Hour, errStalled, StallTimeout},
		{"a byte each 59 s", 1, 59 * time.Second, errStalled, StallTimeout},
		{"slow, and still worth it", StallBytes, 59 * time.Second, nil, 10 * 59 * time.Second},
		{"small pieces", StallBytes / 8, 7 * time.Second, nil, 80 * 7 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := &Transport{Base: origin(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, Body: &dripping{r, c.n, c.every, 10 * StallBytes}}, nil
				})}
				resp, err := tr.RoundTrip(request(t))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				begin := time.Now()
				_, err = io.Copy(io.Discard, resp.Body)
				if took := time.Since(begin); !errors.Is(err, c.want) || took != c.after {
					t.Errorf("%v after %v, want %v after %v", err, took, c.want, c.after)
				}
			})
		})
	}
}

func TestTransport_DoesNotCountTheReadersTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &Transport{Base: origin(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: &dripping{r, 10, time.Second, 100}}, nil
		})}
		resp, err := tr.RoundTrip(request(t))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for {
			time.Sleep(time.Hour) // a disk that stands still
			if _, err := resp.Body.Read(make([]byte, 10)); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestTransport_EndsAnOriginWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &Transport{Base: origin(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		begin := time.Now()
		_, err := tr.RoundTrip(request(t))
		if took := time.Since(begin); !errors.Is(err, errNoAnswer) || took != HeaderTimeout {
			t.Errorf("%v after %v", err, took)
		}
	})
}

func TestTransport_NotesTheWait(t *testing.T) {
	t.Parallel()
	tr := &Transport{Base: origin(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {"7"}}, Body: http.NoBody}, nil
	})}
	ctx, wait := WithWait(t.Context())
	resp, err := tr.RoundTrip(request(t).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if *wait != 7*time.Second {
		t.Error(*wait)
	}
}

func request(t *testing.T) *http.Request {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://origin.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReadSmall(t *testing.T) {
	t.Parallel()
	if b, err := ReadSmall(strings.NewReader("12345678"), 8); err != nil || len(b) != 8 {
		t.Error(b, err)
	}
	if _, err := ReadSmall(strings.NewReader("123456789"), 8); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"shop", "shop_1.5.0_linux_amd64.tar.gz", "..shop", "ein laden", "店"} {
		if err := CheckName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", ".", "..", "a/b", "/a", `a\b`, "a\x00b", "a\nb", "a\xff", strings.Repeat("a", 256)} {
		if CheckName(name) == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}

func TestExplain_TellsNoSecret(t *testing.T) {
	t.Parallel()
	client := &http.Client{Transport: origin(func(r *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("proxyconnect: parse %q: refused\x1b[2J", "http://me:s3cret@proxy/")
	})}
	_, err := client.Get("https://user:s3cret@origin.example/f?sig=s3cret")
	got := Explain(err).Error()
	if want := `https://origin.example/f: proxyconnect: parse "http://proxy/": refused\x1b[2J`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
