//go:build unix

package spec_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The program's own checks decide over /readyz each time: one that fails, or hangs,
// is named in the answer. What the Skipper lets through is the app's.
func TestReadinessChecks(t *testing.T) {
	t.Parallel()
	eachFramework(t, func(t *testing.T, f framework, m method) {
		s := start(t, f, m, "checks")
		c := m.kind.client(s)
		url := m.kind.url(s)
		defer c.CloseIdleConnections()
		ask := func(status int, failed ...string) {
			t.Helper()
			resp, body := getHealth(t, c, url+"/readyz")
			if resp.StatusCode != status || !slices.Equal(body.failed(), failed) {
				t.Errorf("%s, failed: %q; want %d and %q", resp.Status, body.failed(), status, failed)
			}
		}
		ask(200)
		file := func(name string) string { return filepath.Join(s.state, name) }
		for _, name := range []string{"full", "hangs"} {
			if err := os.WriteFile(file(name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		const disk, database = "disk: permission denied", "database: no answer in 1s"
		ask(503, disk, database)
		checkHealth(t, c, url+"/livez", 200, "current")
		os.Remove(file("full"))
		ask(503, database)
		os.Remove(file("hangs"))
		for end := time.Now().Add(patience); ; { // the next but one may get the result of a run that is late
			resp, body := getHealth(t, c, url+"/readyz")
			if resp.StatusCode == http.StatusOK {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s, failed: %q", resp.Status, body.failed())
			}
		}

		for _, path := range []string{"/livez", "/readyz"} {
			err := (visitor{c, url}).ask(request{
				method: "GET", path: path, header: http.Header{"X-Skip": {"yes"}}, status: 404,
			}, 0)
			if err != nil {
				t.Errorf("%s skipped: %v", path, err)
			}
		}
		c.CloseIdleConnections()
		s.stop()
	})
}
