package control

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// runtimeDir is a default directory for one test, short enough for a socket's path.
func runtimeDir(t *testing.T) string {
	t.Helper()
	dir := must.Get(os.MkdirTemp("", "gx"))(t)
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	machines := systemDir
	systemDir = filepath.Join(dir, "system")
	t.Cleanup(func() { systemDir = machines })
	must.Do(t, os.Mkdir(DefaultDir(), 0o700))
	return dir
}

// play answers on a socket as an app does.
func play(t *testing.T, path string, handler http.HandlerFunc) {
	t.Helper()
	ln := must.Get(net.Listen("unix", path))(t)
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
}

// says answers every question with v, as protocol version n.
func says(n int, status int, v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(HeaderProtocol, strconv.Itoa(n))
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
}

func inDefault(name string) string { return filepath.Join(DefaultDir(), name) }
