package fetch

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// TestCheckRedirect follows redirects through origins that note what they see. net/http's own rules are in effect, too.
func TestCheckRedirect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, path string // the origins in their order
		secret     string // who sees the token, by the same letters
		err        string
	}{
		{"the same origin", "https://a.example https://a.example:443", "yy", ""},
		{"another path after none", "https://a.example", "y", ""},
		{"another host", "https://a.example https://b.example", "yn", ""},
		{"a host below", "https://a.example https://sub.a.example", "yn", ""},
		{"another port", "https://a.example https://a.example:8443", "yn", ""},
		{"there and back", "https://a.example https://b.example https://a.example", "ynn", ""},
		{"to https", "http://a.example https://a.example", "yn", ""},
		{"from https", "https://a.example http://a.example", "y", "from https to http://a.example/1"},
		{"a file", "https://a.example file://", "y", "neither http nor https"},
		{"ten", strings.TrimSpace(strings.Repeat("https://a.example ", 11)), "yyyyyyyyyyy", ""},
		{"eleven", strings.TrimSpace(strings.Repeat("https://a.example ", 12)), "yyyyyyyyyyy", "more than 10 redirects"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			hops := strings.Fields(c.path)
			saw := ""
			client := &http.Client{CheckRedirect: CheckRedirect, Transport: origin(func(r *http.Request) (*http.Response, error) {
				all, none := true, true
				for _, name := range []string{"Authorization", "Private-Token", "Cookie"} {
					all, none = all && r.Header.Get(name) != "", none && r.Header.Get(name) == ""
				}
				switch {
				case all:
					saw += "y"
				case none:
					saw += "n"
				default:
					saw += "?"
				}
				if r.Header.Get("Range") == "" || r.Header.Get("Referer") != "" {
					t.Errorf("hop %d got %v", len(saw), r.Header)
				}
				if len(saw) == len(hops) {
					return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
				}
				h := http.Header{"Location": {hops[len(saw)] + "/1?sig=s3cret"}}
				return &http.Response{StatusCode: 302, Header: h, Body: http.NoBody, Request: r}, nil
			})}
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, hops[0]+"/0?sig=s3cret", nil)
			r.Header = http.Header{"Authorization": {"Bearer x"}, "Private-Token": {"x"}, "Cookie": {"a=b"}, "Range": {"bytes=1-"}}
			resp, err := client.Do(r)
			if err == nil {
				resp.Body.Close()
			} else {
				err = Explain(err)
			}
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Error(err)
			}
			if saw != c.secret {
				t.Errorf("the token was seen by %s, want %s", saw, c.secret)
			}
			var f *ExplainedError
			if err != nil && !errors.As(err, &f) {
				t.Errorf("%T", err)
			}
		})
	}
}
