//go:build linux

package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"aead.dev/minisign"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

func TestMain(m *testing.M) {
	proctest.Play("RELEASE_TEST_PROGRAM", func(name string) int { return players[name]() })
	proctest.Parallel(8)
	os.Exit(proctest.Main(m))
}

// players are the programs that this test binary plays.
var players = map[string]func() int{}

// shop returns a program that behaves so, and differs from the other builds.
func shop(t testing.TB, behaviour string, build int) []byte {
	t.Helper()
	return variant(t, "./testdata/tiny", behaviour, build)
}

func variant(t testing.TB, pkg, behaviour string, build int) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop")
	proctest.Build(t, path, pkg)
	b := must.Get(os.ReadFile(path))(t)
	patch(t, b, "gracex-test-behaviour:good.....", "gracex-test-behaviour:"+behaviour+strings.Repeat(".", 9-len(behaviour)))
	patch(t, b, "gracex-test-build:0000", fmt.Sprintf("gracex-test-build:%04d", build))
	return b
}

// patch changes a text in a program to one of the same length.
func patch(t testing.TB, b []byte, from, to string) {
	t.Helper()
	if len(from) != len(to) || !bytes.Contains(b, []byte(from)) {
		t.Fatalf("%q can't become %q", from, to)
	}
	copy(b, bytes.ReplaceAll(b, []byte(from), []byte(to)))
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// keys are the pair that releases are signed with.
var keys = sync.OnceValues(func() (minisign.PublicKey, minisign.PrivateKey) {
	public, private, err := minisign.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	return public, private
})

func trust() Trust {
	public, _ := keys()
	return Trust{Name: "shop", Keys: []string{public.String()}}
}

func sign(manifest []byte, comment string) []byte {
	_, private := keys()
	return minisign.SignWithComments(private, manifest, comment, "")
}

// shelf is a source in memory.
type shelf struct {
	manifest, signature []byte
	tag                 string
	files               map[string][]byte

	cut    int           // bytes after which each body breaks off; 0: none
	stalls bool          // a body that has no more does not end
	deaf   bool          // and does not go by the context
	pause  time.Duration // before each piece
	err    error         // of Open
	opened []int64
	read   int
}

func (s *shelf) String() string { return "shelf" }

func (s *shelf) Head(_ context.Context, tag string) (Offer, error) {
	if tag != "" && tag == s.tag {
		return Offer{}, ErrUnchanged
	}
	return Offer{Manifest: s.manifest, Signature: s.signature, Tag: s.tag}, nil
}

func (s *shelf) Open(ctx context.Context, name string, at int64) (io.ReadCloser, int64, error) {
	s.opened = append(s.opened, at)
	b, ok := s.files[name]
	if s.err != nil || !ok {
		return nil, 0, errors.Join(s.err, ErrNotTried)
	}
	if at > int64(len(b)) {
		return nil, 0, fmt.Errorf("no byte %d", at)
	}
	return &body{shelf: s, ctx: ctx, rest: b[at:], closed: make(chan struct{})}, at, nil
}

type body struct {
	*shelf
	closed chan struct{}
	ctx    context.Context
	rest   []byte
	sent   int
	once   sync.Once
}

func (b *body) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

func (b *body) Read(p []byte) (int, error) {
	if b.cut > 0 && b.sent >= b.cut {
		return 0, io.ErrUnexpectedEOF
	}
	if len(b.rest) == 0 && b.stalls {
		done := b.ctx.Done()
		if b.deaf {
			done = b.closed
		}
		<-done
		return 0, io.ErrClosedPipe
	}
	time.Sleep(b.pause)
	if err := b.ctx.Err(); err != nil && !b.deaf {
		return 0, err
	}
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	if b.cut > 0 {
		p = p[:min(len(p), b.cut-b.sent)]
	}
	n := copy(p, b.rest)
	b.rest, b.sent, b.read = b.rest[n:], b.sent+n, b.read+n
	return n, nil
}

// of returns a source with a signed release, whose manifest was changed.
func of(t testing.TB, program []byte, version string, serial int64, change ...func(*Manifest)) *shelf {
	t.Helper()
	m := Manifest{Name: "shop", Version: version, Serial: serial, Time: time.Now().UTC(), Files: []File{{
		OS: runtime.GOOS, Arch: runtime.GOARCH, File: "shop-linux", Size: int64(len(program)), SHA256: sum(program),
	}}}
	s := &shelf{files: map[string][]byte{"shop-linux": program}, tag: version}
	for _, c := range change {
		c(&m)
	}
	s.publish(t, m)
	return s
}

func (s *shelf) publish(t testing.TB, m Manifest) {
	t.Helper()
	s.manifest = must.Get(json.Marshal(m))(t)
	s.signature = sign(s.manifest, "")
}

// newStore returns the store of a directory of its own.
func newStore(t testing.TB) *Store {
	t.Helper()
	return openStore(t, storeDir(t))
}

func storeDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "srv")
	must.Do(t, os.Mkdir(dir, 0o755))
	return dir
}

func openStore(t testing.TB, dir string) *Store {
	t.Helper()
	s := must.Get(Open(dir, "shop"))(t)
	t.Cleanup(func() { _ = s.Close() })
	s.retryWait = time.Millisecond
	return s
}

// staged is what the test stages, which has to work.
func staged(t testing.TB, s *Store, src Source) Release {
	t.Helper()
	return must.Get(s.Stage(t.Context(), src, trust(), StageOptions{}, nil))(t)
}

// wants ends the test unless err wraps one and says these words.
func wants(t testing.TB, err, is error, words string) {
	t.Helper()
	if !errors.Is(err, is) || !strings.Contains(fmt.Sprint(err), words) {
		t.Errorf("the error is %q, and not a %q with %q", err, is, words)
	}
}

// tree lists what is in a store, without its lock and its history.
func tree(t testing.TB, s *Store) (all []string) {
	t.Helper()
	must.Do(t, filepath.Walk(s.dir, func(path string, fi os.FileInfo, err error) error {
		name, _ := filepath.Rel(s.dir, path)
		if err == nil && name != lockFile && name != historyFile && name != "." {
			all = append(all, name)
		}
		return err
	}))
	return all
}

func itoa(n int) string { return fmt.Sprint(n) }

func asRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root has files of several users")
	}
}

func mkdir(t testing.TB, dir string, mode os.FileMode) {
	t.Helper()
	must.Do(t, os.Mkdir(dir, 0o755))
	must.Do(t, os.Chmod(dir, mode))
}

// other makes a directory of another user.
func other(t testing.TB, dir string) {
	t.Helper()
	mkdir(t, dir, 0o755)
	must.Do(t, os.Chown(dir, 4711, 4711))
}
