package echox

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/labstack/echo/v5"

	"github.com/gracex-go/gracex/internal/must"
)

// The tests are not parallel: a process has one Upgrader.

// broken is a listener on which every server fails at once.
func broken(t *testing.T) net.Listener {
	t.Helper()
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	ln.Close()
	return ln
}

// What is logged is what Echo logs, once, and the hooks run once.
func TestLogsWhatEchoLogs(t *testing.T) {
	for _, sc := range []echo.StartConfig{
		{},
		{HideBanner: true},
		{HidePort: true},
		{HideBanner: true, HidePort: true},
		{TLSConfig: &tls.Config{Certificates: make([]tls.Certificate, 1)}},
	} {
		sc.Listener = broken(t)
		log := func(start func(*echo.Echo, echo.StartConfig) error) string {
			var out bytes.Buffer
			e := echo.New()
			e.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
			hooks := ""
			sc.ListenerAddrFunc = func(addr net.Addr) { hooks += addr.String() }
			sc.BeforeServeFunc = func(s *http.Server) error {
				hooks += s.ReadTimeout.String()
				return nil
			}
			if err := start(e, sc); err == nil {
				t.Fatal("it served")
			}
			return out.String() + hooks
		}
		want := log(func(e *echo.Echo, sc echo.StartConfig) error { return sc.Start(t.Context(), e) })
		got := log(func(e *echo.Echo, sc echo.StartConfig) error { return StartWithConfig(t.Context(), e, sc) })
		if got != want {
			t.Errorf("logs\n%s, Echo\n%s", got, want)
		}
	}
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	refused := errors.New("refused")
	with := func(sc echo.StartConfig) error { return StartWithConfig(t.Context(), echo.New(), sc) }
	for _, tt := range []struct {
		err  error
		text string
		is   error
	}{
		{Start(echo.New(), "127.0.0.1:nonsense"), "gracex: listen tcp 127.0.0.1:nonsense: ", nil},
		{with(echo.StartConfig{Address: "127.0.0.1:0", ListenerNetwork: "udp"}), "gracex: listen udp ", nil},
		{with(echo.StartConfig{Address: "127.0.0.1:0", BeforeServeFunc: func(*http.Server) error { return refused }}), "echox: refused", refused},
		{with(echo.StartConfig{Listener: broken(t)}), "gracex: ", net.ErrClosed},
		{StartTLS(echo.New(), "127.0.0.1:0", "none.crt", "none.key"), "echox: open none.crt", fs.ErrNotExist},
		{StartTLS(echo.New(), "127.0.0.1:0", dir+"/crt", dir+"/key"), "echox: open " + dir + "/crt", fs.ErrNotExist},
		{
			StartTLSWithConfig(t.Context(), echo.New(), echo.StartConfig{Address: "127.0.0.1:0", CertFilesystem: os.DirFS(dir)}, "crt", "key"),
			"echox: open crt", fs.ErrNotExist,
		},
		{StartTLS(echo.New(), "127.0.0.1:0", []byte("garbage"), []byte("garbage")), "echox: tls: failed to find any PEM data", nil},
		{StartTLS(echo.New(), "127.0.0.1:0", 1, 2), "echox: ", echo.ErrInvalidCertOrKeyType},
		{
			StartTLSWithConfig(t.Context(), echo.New(), echo.StartConfig{Listener: broken(t)}, dir+"/crt", dir+"/key"),
			"echox: StartTLS with StartConfig.Listener would serve without TLS", nil,
		},
	} {
		if tt.err == nil || !strings.HasPrefix(tt.err.Error(), tt.text) || tt.is != nil && !errors.Is(tt.err, tt.is) {
			t.Errorf("error %v, want %s...", tt.err, tt.text)
		}
	}
}

// A context that has ended before means a clean stop at once, as in Echo.
func TestEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := StartWithConfig(ctx, echo.New(), echo.StartConfig{Address: "127.0.0.1:0"}); err != nil {
		t.Error(err)
	}
}
