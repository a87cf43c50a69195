//go:build unix

package s3source_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/internal/sourcetest"
	"github.com/gracex-go/gracex/release/s3source"
)

// envVersity makes the tests fail where there is no versitygw. Without it, they are skipped there. It can be the path of
// the program.
const envVersity = "CORE_TEST_VERSITYGW"

const bucket, prefix, secret = "rel", "shop/stable", "s3cret"

// gateway is a bucket of a real server.
type gateway struct {
	url    string
	client *minio.Client
}

func start(t *testing.T) *gateway {
	t.Helper()
	name := "versitygw"
	if p := os.Getenv(envVersity); strings.Contains(p, "/") {
		name = p
	}
	program := sourcetest.Program(t, envVersity, name, "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")
	dir, addr := t.TempDir(), proctest.FreeAddr(t)
	for _, sub := range []string{"root", "sidecar"} {
		must.Do(t, os.Mkdir(filepath.Join(dir, sub), 0o755))
	}
	// Its notes about objects are extended attributes otherwise, which not every file system has.
	cmd := exec.Command(program, "--port", addr, "--region", "us-east-1", "--quiet", "posix", "--sidecar", filepath.Join(dir, "sidecar"), filepath.Join(dir, "root"))
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=test", "ROOT_SECRET_KEY="+secret)
	p := proctest.Start(t, cmd)
	p.Await("versitygw listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	g := &gateway{url: "http://" + addr}
	g.client = must.Get(minio.New(addr, &minio.Options{Creds: credentials.NewStaticV4("test", secret, ""), Region: "us-east-1", BucketLookup: minio.BucketLookupPath}))(t)
	must.Do(t, g.client.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{Region: "us-east-1"}))
	return g
}

func (g *gateway) Publish(t *testing.T, files map[string][]byte) {
	t.Helper()
	for o := range g.client.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Prefix: prefix + "/", Recursive: true}) {
		must.Do(t, o.Err)
		if _, ok := files[strings.TrimPrefix(o.Key, prefix+"/")]; !ok {
			must.Do(t, g.client.RemoveObject(t.Context(), bucket, o.Key, minio.RemoveObjectOptions{}))
		}
	}
	for name, b := range files {
		must.Get(g.client.PutObject(t.Context(), bucket, prefix+"/"+name, bytes.NewReader(b), int64(len(b)), minio.PutObjectOptions{}))(t)
	}
}

func (g *gateway) Source() release.Source { return g.source(bucket, secret) }

func (g *gateway) source(bucket, secret string) release.Source {
	return s3source.New(bucket, "/"+prefix+"/", s3source.Endpoint(g.url), s3source.Region("us-east-1"), s3source.PathStyle(),
		s3source.Credentials(credentials.NewStaticV4("test", secret, "")))
}

func TestSource_Versity(t *testing.T) {
	t.Parallel()
	g := start(t)
	sourcetest.Check(t, g)

	// The same bytes have another ETag if they came in parts.
	b := sourcetest.Bytes(11<<20, 3)
	g.Publish(t, map[string][]byte{"release.json": []byte("{}"), "shop": b})
	src := g.Source()
	body, from, err := src.Open(t.Context(), "shop", 1000)
	if err != nil || from != 1000 {
		t.Fatal(from, err)
	}
	body.Close()
	body, from, err = src.Open(t.Context(), "shop", 2000)
	if err != nil || from != 2000 {
		t.Fatal(from, err)
	}
	body.Close()
	must.Get(g.client.PutObject(t.Context(), bucket, prefix+"/shop", bytes.NewReader(b), int64(len(b)), minio.PutObjectOptions{PartSize: 5 << 20}))(t)
	body, from, err = src.Open(t.Context(), "shop", 3000)
	if err != nil || from != 0 {
		t.Fatal(from, err)
	}
	body.Close()

	for _, c := range []struct{ bucket, secret, want string }{
		{"none", secret, "404 NoSuchBucket: "},
		{bucket, "wr0ng", "403 SignatureDoesNotMatch: "},
	} {
		_, err := g.source(c.bucket, c.secret).Head(t.Context(), "")
		if err == nil {
			t.Fatal("no error")
		}
		sourcetest.NotTried(t, err)
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "; ") {
			t.Error(err)
		}
	}
}
