//go:build unix

package release_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/internal/sourcetest"
)

// envNginx makes the tests fail where there is no nginx. Without it, they are skipped there.
const envNginx = "CORE_TEST_NGINX"

// nginxConfig is for one process in the foreground, which writes nothing outside the folder. It compresses what a
// client lets it.
const nginxConfig = `
daemon off;
master_process off;
error_log stderr;
pid %[1]s/pid;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/1;
  proxy_temp_path %[1]s/2;
  fastcgi_temp_path %[1]s/3;
  uwsgi_temp_path %[1]s/4;
  scgi_temp_path %[1]s/5;
  gzip on;
  gzip_min_length 0;
  gzip_types *;
  server {
    listen %[2]s;
    root %[1]s/www;
  }
}
`

// nginx is a folder that a real one serves.
type nginx struct {
	folder
	url string
}

func (n nginx) Source() release.Source { return release.HTTP(n.url) }

func startNginx(t *testing.T) nginx {
	t.Helper()
	path := sourcetest.Program(t, envNginx, "nginx", "on Debian, apt-get install nginx-light")
	dir, addr := t.TempDir(), proctest.FreeAddr(t)
	must.Do(t, os.Mkdir(filepath.Join(dir, "www"), 0o755))
	must.Do(t, os.WriteFile(filepath.Join(dir, "nginx.conf"), fmt.Appendf(nil, nginxConfig, dir, addr), 0o600))
	p := proctest.Start(t, exec.Command(path, "-p", dir, "-c", filepath.Join(dir, "nginx.conf")))
	p.Await("nginx listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return nginx{folder(filepath.Join(dir, "www")), "http://" + addr}
}

func TestHTTP_Nginx(t *testing.T) {
	t.Parallel()
	sourcetest.Check(t, startNginx(t))
}

// TestHTTP_NginxETags: its ETag is size and time, to the second, so two manifests can have the same one.
func TestHTTP_NginxETags(t *testing.T) {
	t.Parallel()
	n := startNginx(t)
	put := func(content string, modified time.Time) {
		n.Publish(t, map[string][]byte{"release.json": []byte(content), "shop": []byte(content)})
		for _, name := range []string{"release.json", "shop"} {
			must.Do(t, os.Chtimes(filepath.Join(string(n.folder), name), modified, modified))
		}
	}
	src := n.Source()

	// Published a moment ago: another one can still come in the same second.
	now := time.Now()
	put("1", now)
	first := must.Get(src.Head(t.Context(), ""))(t)
	put("2", now)
	if o, err := src.Head(t.Context(), first.Tag); err != nil || string(o.Manifest) != "2" {
		t.Errorf("%s, %v", o.Manifest, err)
	}

	// Later the ETag is believed, for an hour. A file whose time was set back is found without it.
	before := now.Add(-time.Hour)
	put("3", before)
	third := must.Get(src.Head(t.Context(), ""))(t)
	put("4", before)
	if _, err := src.Head(t.Context(), third.Tag); !errors.Is(err, release.ErrUnchanged) {
		t.Errorf("nginx has other ETags now: %v", err)
	}
	if o := must.Get(src.Head(t.Context(), ""))(t); string(o.Manifest) != "4" {
		t.Errorf("%s", o.Manifest)
	}

	// A new time alone makes a file come from its beginning, also for the same bytes.
	put("0123456789", before)
	body, _, err := src.Open(t.Context(), "shop", 0)
	must.Do(t, err)
	body.Close()
	for _, c := range []struct {
		modified time.Time
		from     int64
	}{{before, 5}, {before.Add(time.Second), 0}} {
		put("0123456789", c.modified)
		body, from, err := src.Open(t.Context(), "shop", 5)
		must.Do(t, err)
		body.Close()
		if from != c.from {
			t.Errorf("begins at %d, want %d", from, c.from)
		}
	}
}
