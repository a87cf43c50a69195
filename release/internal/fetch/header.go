package fetch

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// MaxWait is the longest time that an origin can ask to be left alone. It could say "for ever".
const MaxWait = 24 * time.Hour

// Wait is how long the origin of an answer wants to be left alone, by Retry-After (RFC 9110, section 10.2.3) or, with
// nothing left of it, by GitHub's X-RateLimit-Reset. 0 means that it has not said. A time of day is compared with the
// origin's own clock, if it shows it.
func Wait(h http.Header) time.Duration {
	now := time.Now()
	if t, err := http.ParseTime(h.Get("Date")); err == nil {
		now = t
	}
	if v := strings.TrimSpace(h.Get("Retry-After")); v != "" {
		if n, err := strconv.ParseUint(v, 10, 63); err == nil {
			return atMost(n)
		} else if strings.Trim(v, "0123456789") == "" { // out of range
			return MaxWait
		}
		if t, err := http.ParseTime(v); err == nil {
			return between(t.Sub(now))
		}
	}
	if h.Get("X-RateLimit-Remaining") == "0" {
		if n, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64); err == nil && n > 0 {
			// A second more: the origin's clock has been cut to seconds.
			return between(time.Duration(min(n-now.Unix(), int64(MaxWait/time.Second)))*time.Second + time.Second)
		}
	}
	return 0
}

func atMost(seconds uint64) time.Duration {
	return time.Duration(min(seconds, uint64(MaxWait/time.Second))) * time.Second
}

func between(d time.Duration) time.Duration { return min(max(d, 0), MaxWait) }

type waitKey struct{}

// WithWait returns a context in which [Transport] notes what [Wait] says of an answer that is an error. It is for
// libraries that do not show the header of one.
func WithWait(ctx context.Context) (context.Context, *time.Duration) {
	wait := new(time.Duration)
	return context.WithValue(ctx, waitKey{}, wait), wait
}

func note(ctx context.Context, resp *http.Response) {
	if wait, ok := ctx.Value(waitKey{}).(*time.Duration); ok && resp.StatusCode >= 400 {
		*wait = Wait(resp.Header)
	}
}

// ContentRange is the first byte of an answer 206 (RFC 9110, section 14.4), and how long the whole is, or -1.
func ContentRange(s string) (from, total int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, size, ok := strings.Cut(s, "/")
	if !ok {
		return 0, 0, false
	}
	first, last, ok := strings.Cut(span, "-")
	if !ok {
		return 0, 0, false
	}
	from, ok = number(first)
	to, ok2 := number(last)
	if !ok || !ok2 || to < from {
		return 0, 0, false
	}
	if size == "*" {
		return from, -1, true
	}
	total, ok = number(size)
	return from, total, ok && to < total
}

// number reads digits: strconv takes a sign, too.
func number(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err == nil
}

// StrongETag returns the ETag of an answer if it stands for the same bytes (RFC 9110, section 8.8.1), or "".
func StrongETag(h http.Header) string {
	e := h.Get("ETag")
	if len(e) < 2 || len(e) > 256 || e[0] != '"' || e[len(e)-1] != '"' {
		return ""
	}
	return e
}

// NextLink is the target of rel="next" in the values of a Link header (RFC 8288), in relation to base, or nil.
func NextLink(values []string, base *url.URL) *url.URL {
	for _, v := range values {
		for v != "" {
			target, params, rest, ok := link(v)
			if !ok {
				break
			}
			if isNext(params) {
				if u, err := base.Parse(target); err == nil {
					return u
				}
			}
			v = rest
		}
	}
	return nil
}

// link cuts the first <target>; params off v.
func link(v string) (target, params, rest string, ok bool) {
	v = strings.TrimLeft(v, " \t,")
	if v == "" || v[0] != '<' {
		return "", "", "", false
	}
	target, v, ok = strings.Cut(v[1:], ">")
	if !ok {
		return "", "", "", false
	}
	params, rest = cutUnquoted(v, ',')
	return target, params, rest, true
}

// cutUnquoted cuts s at the first sep that is in no quoted string (RFC 9110, section 5.6.4).
func cutUnquoted(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == sep && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func isNext(params string) bool {
	for params != "" {
		var p string
		p, params = cutUnquoted(params, ';')
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "rel") {
			continue
		}
		for rel := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(rel, "next") {
				return true
			}
		}
		return false // the first one counts, RFC 8288, section 3.3
	}
	return false
}
