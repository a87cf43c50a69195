package fetch

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestWait(t *testing.T) {
	t.Parallel()
	const date = "Mon, 30 Nov 2026 12:00:00 GMT" // not this machine's time
	for _, c := range []struct {
		header string
		want   time.Duration
	}{
		{"", 0},
		{"Retry-After: 120", 2 * time.Minute},
		{"Retry-After: 0", 0},
		{"Retry-After: -5", 0},
		{"Retry-After: 1.5", 0},
		{"Retry-After: soon", 0},
		{"Retry-After: 9223372036854775807", MaxWait},
		{"Retry-After: 99999999999999999999999999", MaxWait},
		{"Date: " + date + "|Retry-After: Mon, 30 Nov 2026 12:01:30 GMT", 90 * time.Second},
		{"Date: " + date + "|Retry-After: Mon, 30 Nov 2026 11:00:00 GMT", 0},
		{"Date: " + date + "|Retry-After: Mon, 30 Nov 2099 11:00:00 GMT", MaxWait},
		{"Date: " + date + "|X-RateLimit-Remaining: 0|X-RateLimit-Reset: 1796040060", 61 * time.Second},
		{"Date: " + date + "|X-RateLimit-Remaining: 3|X-RateLimit-Reset: 1796040060", 0},
		{"Date: " + date + "|X-RateLimit-Remaining: 0|X-RateLimit-Reset: 9223372036854775807", MaxWait},
		{"Date: " + date + "|X-RateLimit-Remaining: 0|X-RateLimit-Reset: 1", 0},
		{"X-RateLimit-Remaining: 0", 0},
		{"Retry-After: 5|X-RateLimit-Remaining: 0|X-RateLimit-Reset: 1796040060", 5 * time.Second},
	} {
		h := http.Header{}
		for line := range strings.SplitSeq(c.header, "|") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				h.Set(name, value)
			}
		}
		if got := Wait(h); got != c.want {
			t.Errorf("%s: %v, want %v", c.header, got, c.want)
		}
	}
}

func FuzzWait(f *testing.F) {
	f.Add("120", "Mon, 30 Nov 2026 12:00:00 GMT", "0", "1796040060")
	f.Add("Mon, 30 Nov 2026 12:00:00 GMT", "", "0", "-9223372036854775808")
	f.Fuzz(func(t *testing.T, after, date, remaining, reset string) {
		h := http.Header{"Retry-After": {after}, "Date": {date}, "X-Ratelimit-Remaining": {remaining}, "X-Ratelimit-Reset": {reset}}
		if d := Wait(h); d < 0 || d > MaxWait {
			t.Error(d)
		}
	})
}

func TestContentRange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		s           string
		from, total int64
		ok          bool
	}{
		{"bytes 10-19/20", 10, 20, true},
		{"bytes 0-0/*", 0, -1, true},
		{"bytes 10-20/20", 0, 0, false},
		{"bytes 19-10/20", 0, 0, false},
		{"bytes */20", 0, 0, false},
		{"bytes -5-10/20", 0, 0, false},
		{"bytes +5-10/20", 0, 0, false},
		{"bytes 5-10", 0, 0, false},
		{"bytes 5-99999999999999999999/*", 0, 0, false},
		{"items 5-10/20", 0, 0, false},
		{"", 0, 0, false},
	} {
		from, total, ok := ContentRange(c.s)
		if ok != c.ok || ok && (from != c.from || total != c.total) {
			t.Errorf("%q: %d, %d, %v", c.s, from, total, ok)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 10-19/20")
	f.Fuzz(func(t *testing.T, s string) {
		if from, total, ok := ContentRange(s); ok && (from < 0 || total != -1 && from >= total) {
			t.Error(from, total)
		}
	})
}

func TestNextLink(t *testing.T) {
	t.Parallel()
	base, _ := url.Parse("https://api.example/repos/o/r/releases?per_page=30")
	for _, c := range []struct{ link, want string }{
		{`<https://api.example/repositories/1/releases?per_page=30&page=2>; rel="next", <https://api.example/x?page=5>; rel="last"`, "https://api.example/repositories/1/releases?per_page=30&page=2"},
		{`<https://api.example/x?page=1>; rel="prev", <?page=3>; rel=next`, "https://api.example/repos/o/r/releases?page=3"},
		{`</a,b>; title="x, <y>; rel=\"next\""; rel="last next"`, "https://api.example/a,b"},
		{`<https://elsewhere.example/>; REL="NEXT"`, "https://elsewhere.example/"}, // get refuses it
		{`<https://api.example/x>; rel="last"; rel="next"`, ""},
		{`<https://api.example/x`, ""},
		{`next`, ""},
		{`<:>; rel="next"`, ""},
		{``, ""},
	} {
		got := ""
		if u := NextLink([]string{c.link}, base); u != nil {
			got = u.String()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.link, got, c.want)
		}
	}
}

func FuzzNextLink(f *testing.F) {
	f.Add(`<https://api.example/x?page=2>; rel="next", <y>; rel="last"`)
	base, _ := url.Parse("https://api.example/")
	f.Fuzz(func(t *testing.T, s string) {
		if u := NextLink([]string{s}, base); u != nil && !strings.Contains(strings.ToLower(s), "next") {
			t.Error(u)
		}
	})
}

func TestStrongETag(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ etag, want string }{
		{`"abc"`, `"abc"`}, {`W/"abc"`, ""}, {"abc", ""}, {`"`, ""}, {"", ""}, {`"` + strings.Repeat("a", 300) + `"`, ""},
	} {
		if got := StrongETag(http.Header{"Etag": {c.etag}}); got != c.want {
			t.Errorf("%s: %s", c.etag, got)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[31m\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Printable(s)
		if len(got) > 4*maxText+20 || strings.ContainsAny(got, "\x1b\n\r\u202e\u009b") {
			t.Errorf("%q", got)
		}
		_ = withoutUser(s)
	})
}
