package echox

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/net/http2"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/must"
)

// The tests that start something are not parallel: a process has one Upgrader.

// broken is a listener on which every server fails at once.
func broken(t *testing.T) net.Listener {
	t.Helper()
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	ln.Close()
	return ln
}

// What is printed is what Echo prints, once, and its logger is set up.
func TestPrintsWhatEchoPrints(t *testing.T) {
	ln := broken(t)
	secure := &http.Server{TLSConfig: &tls.Config{Certificates: make([]tls.Certificate, 1)}}
	for name, start := range map[string]struct{ echos, echoxs func(*echo.Echo) error }{
		"Start": {
			func(e *echo.Echo) error { return e.Start("") },
			func(e *echo.Echo) error { return Start(e, "") },
		},
		"StartAutoTLS": {
			func(e *echo.Echo) error { return e.StartAutoTLS("") },
			func(e *echo.Echo) error { return StartAutoTLS(e, "") },
		},
		"StartH2CServer": {
			func(e *echo.Echo) error { return e.StartH2CServer("", &http2.Server{}) },
			func(e *echo.Echo) error { return StartH2CServer(e, "", nil) },
		},
		"StartServer": {
			func(e *echo.Echo) error { return e.StartServer(&http.Server{}) },
			func(e *echo.Echo) error { return StartServer(e, &http.Server{}) },
		},
		"StartServer, TLS": {
			func(e *echo.Echo) error { return e.StartServer(secure) },
			func(e *echo.Echo) error { return StartServer(e, secure) },
		},
	} {
		for _, configure := range []func(*echo.Echo){
			func(*echo.Echo) {},
			func(e *echo.Echo) { e.HideBanner = true },
			func(e *echo.Echo) { e.HidePort = true },
			func(e *echo.Echo) { e.HideBanner, e.HidePort, e.Debug = true, true, true },
		} {
			printed := func(start func(*echo.Echo) error) string {
				var out bytes.Buffer
				e := echo.New()
				e.Logger.SetOutput(&out)
				e.Listener, e.TLSListener = ln, ln
				configure(e)
				if err := start(e); err == nil {
					t.Fatalf("%s served", name)
				}
				if e.Listener != ln || e.TLSListener != ln {
					t.Errorf("%s left another listener", name)
				}
				return fmt.Sprintf("%s(log level %d)", &out, e.Logger.Level())
			}
			want, got := printed(start.echos), printed(start.echoxs)
			if got != want {
				t.Errorf("%s prints\n%s, Echo\n%s", name, got, want)
			}
		}
	}
}

// A TLSConfig does not make HTTPS of Start: http2.ConfigureServer sets one, too.
func TestStartStaysPlain(t *testing.T) {
	fails := core.WithReadyCheck(func(context.Context) error { return errors.New("no database") })
	for name, start := range map[string]func(e *echo.Echo) error{
		"Start":          func(e *echo.Echo) error { return Start(e, "127.0.0.1:0", fails) },
		"StartH2CServer": func(e *echo.Echo) error { return StartH2CServer(e, "127.0.0.1:0", nil, fails) },
	} {
		e := echo.New()
		e.HideBanner, e.HidePort = true, true
		e.Server.TLSConfig = &tls.Config{}
		if err := start(e); err == nil || !strings.Contains(err.Error(), "no database") {
			t.Errorf("%s: error %v, want the ready check's", name, err)
		}
		if e.Listener == nil || e.TLSListener != nil {
			t.Errorf("%s: Listener %v, TLSListener %v", name, e.Listener, e.TLSListener)
		}
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage")
	must.Do(t, os.WriteFile(garbage, []byte("garbage"), 0o600))
	onNetwork := func(network string) error {
		e := echo.New()
		e.ListenerNetwork = network
		return Start(e, "127.0.0.1:0")
	}
	for _, tt := range []struct {
		err  error
		text string
		is   error
	}{
		{Start(echo.New(), "127.0.0.1:nonsense"), "gracex: listen tcp 127.0.0.1:nonsense: ", nil},
		{StartH2CServer(echo.New(), "127.0.0.1:nonsense", nil), "gracex: listen tcp 127.0.0.1:nonsense: ", nil},
		{StartAutoTLS(echo.New(), "127.0.0.1:nonsense"), "gracex: listen tcp 127.0.0.1:nonsense: ", nil},
		{StartServer(echo.New(), &http.Server{Addr: "127.0.0.1:nonsense"}), "gracex: listen tcp 127.0.0.1:nonsense: ", nil},
		{StartServer(echo.New(), &http.Server{Addr: "127.0.0.1:0", TLSConfig: &tls.Config{}}), "gracex: serve 127.0.0.1:", nil},
		{onNetwork("udp"), `echox: e.ListenerNetwork "udp": `, echo.ErrInvalidListenerNetwork},
		{StartTLS(echo.New(), "", dir+"/crt", garbage), "echox: the certificate: open " + dir + "/crt", fs.ErrNotExist},
		{StartTLS(echo.New(), "", garbage, dir+"/key"), "echox: the certificate's key: open " + dir + "/key", fs.ErrNotExist},
		{StartTLS(echo.New(), "", garbage, garbage), "echox: the certificate: tls: failed to find any PEM data", nil},
		{StartTLS(echo.New(), "", 1, garbage), "echox: the certificate: ", echo.ErrInvalidCertOrKeyType},
		{StartTLS(echo.New(), "", garbage, nil), "echox: the certificate's key: ", echo.ErrInvalidCertOrKeyType},
	} {
		if tt.err == nil || !strings.HasPrefix(tt.err.Error(), tt.text) || tt.is != nil && !errors.Is(tt.err, tt.is) {
			t.Errorf("error %v, want %s...", tt.err, tt.text)
		}
	}
	u := must.Get(core.New(core.WithSignals(core.Signals{})))(t)
	if err := Start(echo.New(), "127.0.0.1:0"); !errors.Is(err, core.ErrRunning) {
		t.Errorf("a second server gets %v, want ErrRunning", err)
	}
	must.Do(t, u.Stop(t.Context()))
}

func TestH2CSettings(t *testing.T) {
	t.Parallel()
	srv := new(http.Server)
	configureH2C(srv, &http2.Server{MaxConcurrentStreams: 7, IdleTimeout: time.Hour, PingTimeout: time.Second})
	if srv.HTTP2.MaxConcurrentStreams != 7 || srv.HTTP2.PingTimeout != time.Second || srv.IdleTimeout != time.Hour {
		t.Errorf("%+v, idle timeout %v", srv.HTTP2, srv.IdleTimeout)
	}
	srv = &http.Server{IdleTimeout: time.Minute, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 9}}
	configureH2C(srv, &http2.Server{MaxConcurrentStreams: 7, PingTimeout: time.Second, IdleTimeout: time.Hour})
	if srv.HTTP2.MaxConcurrentStreams != 9 || srv.HTTP2.PingTimeout != time.Second || srv.IdleTimeout != time.Minute {
		t.Errorf("%+v, idle timeout %v: e.Server's own settings go first", srv.HTTP2, srv.IdleTimeout)
	}
}
