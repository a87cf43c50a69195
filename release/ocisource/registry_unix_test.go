//go:build unix

package ocisource_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/internal/sourcetest"
	"github.com/gracex-go/gracex/release/ocisource"
)

// envRegistry makes the tests fail where there is no docker-registry. Without it, they are skipped there.
const envRegistry = "CORE_TEST_DOCKER_REGISTRY"

// registryConfig is for a registry that wants a password.
const registryConfig = `
version: 0.1
log:
  level: error
storage:
  filesystem:
    rootdirectory: %[1]s/data
http:
  addr: %[2]s
auth:
  htpasswd:
    realm: test
    path: %[1]s/htpasswd
`

// passwords has the user test with the password s3cret, by bcrypt with its lowest cost.
const passwords = "test:$2a$04$0KPhAtvq9h7DubkDswnUVe1h0gXVVXZ1GGGycsxAc/icA5u/eJW4W\n"

// distribution is a repository of a real registry.
type distribution struct{ ref string }

func start(t *testing.T) distribution {
	t.Helper()
	program := sourcetest.Program(t, envRegistry, "docker-registry", "on Debian, apt-get install docker-registry")
	dir, addr := t.TempDir(), proctest.FreeAddr(t)
	must.Do(t, os.WriteFile(filepath.Join(dir, "htpasswd"), []byte(passwords), 0o600))
	must.Do(t, os.WriteFile(filepath.Join(dir, "config.yml"), fmt.Appendf(nil, registryConfig, dir, addr), 0o600))
	cmd := exec.Command(program, "serve", filepath.Join(dir, "config.yml"))
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	p := proctest.Start(t, cmd)
	p.Await("the registry answers", func() bool {
		resp, err := http.Get("http://" + addr + "/v2/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	return distribution{addr + "/team/shop:stable"}
}

func (d distribution) Publish(t *testing.T, files map[string][]byte) {
	t.Helper()
	repo := must.Get(remote.NewRepository(d.ref))(t)
	repo.PlainHTTP = true
	repo.Client = &auth.Client{Credential: auth.StaticCredential(repo.Reference.Host(), auth.Credential{Username: "test", Password: "s3cret"})}
	push(t, repo, files)
}

func (d distribution) Source() release.Source { return d.source("s3cret") }

func (d distribution) source(password string) release.Source {
	return ocisource.New(d.ref, ocisource.PlainHTTP(), ocisource.Password(func(context.Context) (string, string, error) {
		return "test", password, nil
	}))
}

func TestSource_Distribution(t *testing.T) {
	t.Parallel()
	d := start(t)
	sourcetest.Check(t, d)

	// A part is asked for, not skipped.
	body, from, err := d.Source().Open(t.Context(), "shop", 1000)
	must.Do(t, err)
	body.Close()
	if from != 1000 {
		t.Errorf("begins at %d", from)
	}
	// A tag can name one artifact for ever.
	first := must.Get(d.Source().Head(t.Context(), ""))(t)
	d.Publish(t, map[string][]byte{"release.json": []byte("later")})
	pinned := distribution{strings.Replace(d.ref, ":stable", "@"+first.Tag, 1)}
	if o := must.Get(pinned.Source().Head(t.Context(), ""))(t); string(o.Manifest) != string(first.Manifest) {
		t.Errorf("%s", o.Manifest)
	}

	for _, c := range []struct {
		src  release.Source
		want string
	}{
		{d.source("wr0ng"), "401 Unauthorized"},
		{ocisource.New(d.ref, ocisource.PlainHTTP(), ocisource.Anonymous()), "it wants a password: docker login "},
		{distribution{d.ref + "x"}.Source(), "there is no such repository or tag"},
		{distribution{strings.Replace(d.ref, "team", "teem", 1)}.Source(), "there is no such repository or tag"},
	} {
		_, err := c.src.Head(t.Context(), "")
		if err == nil {
			t.Fatal("no error")
		}
		sourcetest.NotTried(t, err)
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}
