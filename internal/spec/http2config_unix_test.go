//go:build unix

package spec_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/gracex-go/gracex/core"
)

// Settings that a program gives to http2.ConfigureServer hold, whoever serves HTTP/2: x/net
// itself, or since Go 1.27 net/http.
func TestConfigureServer(t *testing.T) {
	t.Parallel()
	u, err := core.New(core.WithSignals(core.Signals{}), core.WithoutControlSocket())
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler()}
	if err := http2.ConfigureServer(srv, &http2.Server{MaxConcurrentStreams: 7}); err != nil {
		t.Fatal(err)
	}
	ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err == nil {
		err = u.AttachTLS(srv, ln, filepath.Join(theSite().dir, "server.crt"), filepath.Join(theSite().dir, "server.key"))
	}
	if err == nil {
		err = u.Ready()
	}
	if err != nil {
		t.Fatal(err)
	}
	config := clientTLS()
	config.NextProtos = []string{"h2"}
	nc, err := tls.Dial("tcp", ln.Addr().String(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	_, err = io.WriteString(nc, http2.ClientPreface)
	fr := http2.NewFramer(nc, nc)
	if err == nil {
		err = fr.WriteSettings()
	}
	var f http2.Frame
	if err == nil {
		f, err = fr.ReadFrame()
	}
	settings, ok := f.(*http2.SettingsFrame)
	if !ok {
		t.Fatalf("%v, %v", f, err)
	}
	if v, _ := settings.Value(http2.SettingMaxConcurrentStreams); v != 7 {
		t.Errorf("the server allows %d streams, want 7", v)
	}
	nc.Close()
	if err := u.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
