package ginx_test

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/ginx"
	"github.com/gracex-go/gracex/internal/must"
)

// The tests of this file are not parallel: what Gin prints and where, and the process's Upgrader, are global.

// What a run method prints in debug mode is what Gin's own prints, but that it
// does so once. Each of them fails at once here, and names what it could not open.
func TestPrintsWhatGinPrints(t *testing.T) {
	crt, key, sock := t.TempDir()+"/crt", "key", t.TempDir()+"/none/sock"
	broken := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	broken.Close() // so that Accept fails
	for name, tt := range map[string]struct {
		opens       string
		gins, ginxs func(*gin.Engine) error
	}{
		"Run": {
			"127.0.0.1:nonsense",
			func(r *gin.Engine) error { return r.Run("127.0.0.1:nonsense") },
			func(r *gin.Engine) error { return ginx.Run(r, "127.0.0.1:nonsense") },
		},
		"RunTLS": {
			crt,
			func(r *gin.Engine) error { return r.RunTLS("127.0.0.1:0", crt, key) },
			func(r *gin.Engine) error { return ginx.RunTLS(r, "127.0.0.1:0", crt, key) },
		},
		"RunUnix": {
			sock,
			func(r *gin.Engine) error { return r.RunUnix(sock) },
			func(r *gin.Engine) error { return ginx.RunUnix(r, sock) },
		},
		"RunFd": {
			"1048576",
			func(r *gin.Engine) error { return r.RunFd(1 << 20) },
			func(r *gin.Engine) error { return ginx.RunFd(r, 1<<20) },
		},
		"RunListener": {
			broken.Addr().String(),
			func(r *gin.Engine) error { return r.RunListener(broken) },
			func(r *gin.Engine) error { return ginx.RunListener(r, broken) },
		},
	} {
		for _, proxies := range [][]string{{"0.0.0.0/0", "::/0"}, {"::/0"}, {"192.0.2.0/24"}, nil} {
			r := gin.New()
			must.Do(t, r.SetTrustedProxies(proxies))
			want, _ := output(t, func() { _ = tt.gins(r) })
			var err error
			got, errors := output(t, func() { err = tt.ginxs(r) })
			if err == nil || !strings.Contains(err.Error(), tt.opens) || !strings.HasPrefix(err.Error(), "gracex: ") {
				t.Fatalf("%s: error %v, want gracex: ...%s...", name, err, tt.opens)
			}
			if sorted(got) != sorted(want) || want == "" {
				t.Errorf("trusting %v, ginx.%s prints\n%sGin prints\n%s", proxies, name, got, want)
			}
			if want := "[GIN-debug] [ERROR] " + err.Error() + "\n"; errors != want {
				t.Errorf("%s prints the error as %q, want %q", name, errors, want)
			}
		}
	}
}

// sorted puts lines in order: Gin's methods do not agree on which comes first.
func sorted(s string) string {
	lines := slices.Collect(strings.Lines(s))
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// An engine that takes no client's word for where it comes from trusts nobody.
func TestNoProxyWarningWithoutHeaders(t *testing.T) {
	r := gin.New()
	r.ForwardedByClientIP = false
	printed, _ := output(t, func() { _ = ginx.Run(r, "127.0.0.1:nonsense") })
	if strings.Contains(printed, "proxies") {
		t.Errorf("warns:\n%s", printed)
	}
}

func TestPrintsNothingInReleaseMode(t *testing.T) {
	printed, errors := output(t, func() {
		gin.SetMode(gin.ReleaseMode)
		_ = ginx.Run(gin.New(), "127.0.0.1:nonsense")
	})
	if printed+errors != "" {
		t.Errorf("prints %q %q", printed, errors)
	}
}

func TestPrintsThroughDebugPrintFunc(t *testing.T) {
	defer func(was func(string, ...any)) { gin.DebugPrintFunc = was }(gin.DebugPrintFunc)
	var formats []string
	printed, _ := output(t, func() {
		r := gin.New()
		gin.DebugPrintFunc = func(format string, _ ...any) { formats = append(formats, format) }
		_ = ginx.Run(r, "127.0.0.1:nonsense")
	})
	if strings.Contains(printed, "Listening") || !slices.Contains(formats, "Listening and serving HTTP on %s\n") {
		t.Errorf("prints %q itself and %q through the function", printed, formats)
	}
}

// The default address is all interfaces', so nobody listens on it here: the
// process has an Upgrader already, or PORT is no port.
func TestDefaultAddress(t *testing.T) {
	u := must.Get(core.New(core.WithSignals(core.Signals{})))(t)
	for port, want := range map[string]string{
		"":     "Environment variable PORT is undefined. Using port :8080 by default\n[GIN-debug] Listening and serving HTTP on :8080\n",
		"3000": "Environment variable PORT=\"3000\"\n[GIN-debug] Listening and serving HTTP on :3000\n",
	} {
		t.Setenv("PORT", port)
		r := gin.New()
		var err error
		printed, _ := output(t, func() { err = ginx.Run(r, "") })
		if !strings.HasPrefix(printed, "[GIN-debug] "+want) {
			t.Errorf("PORT=%q prints\n%s, want\n%s", port, printed, want)
		}
		if !errors.Is(err, core.ErrRunning) {
			t.Errorf("a second server gets %v, want ErrRunning", err)
		}
	}
	must.Do(t, u.Stop(t.Context()))
	t.Setenv("PORT", "99999")
	if err := ginx.Run(gin.New(), ""); err == nil || !strings.Contains(err.Error(), ":99999") {
		t.Errorf("Run with PORT=99999 returned %v", err)
	}
}
