// Package sourcetest has the tests that each source of releases must pass, against an origin of its kind.
package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/release"
)

// Origin is where the files of a release are put for a source.
type Origin interface {
	// Publish puts the files in place of all that is there.
	Publish(t *testing.T, files map[string][]byte)
	// Source returns a new source for it.
	Source() release.Source
}

// Size is that of the program that Check publishes, in bytes.
const Size = 3 << 20

// Bytes returns n bytes that depend on seed.
func Bytes(n int, seed byte) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// Check runs the tests.
func Check(t *testing.T, o Origin) {
	ctx := t.Context()
	program, other := Bytes(Size, 1), Bytes(Size, 2)
	files := func(serial int, more ...any) map[string][]byte {
		m := map[string][]byte{
			"release.json":         fmt.Appendf(nil, `{"serial":%d}`, serial),
			"release.json.minisig": fmt.Appendf(nil, "untrusted comment: %d\n", serial),
			"shop":                 program,
		}
		for i := 0; i < len(more); i += 2 {
			m[more[i].(string)] = more[i+1].([]byte)
		}
		return m
	}
	without := func(m map[string][]byte, names ...string) map[string][]byte {
		for _, n := range names {
			delete(m, n)
		}
		return m
	}

	src := o.Source()
	o.Publish(t, files(1))
	first := head(t, src, "")
	if string(first.Manifest) != `{"serial":1}` || string(first.Signature) != "untrusted comment: 1\n" || first.Tag == "" {
		t.Fatalf("offered: %s, %s, tag %q", first.Manifest, first.Signature, first.Tag)
	}
	for _, src := range []release.Source{src, o.Source()} { // the tag is good for another process, too
		if _, err := src.Head(ctx, first.Tag); !errors.Is(err, release.ErrUnchanged) {
			t.Errorf("the same: %v", err)
		}
	}
	if again := head(t, src, ""); !bytes.Equal(again.Manifest, first.Manifest) {
		t.Errorf("without a tag: %s", again.Manifest)
	}

	expect(t, src, 0, program)
	expect(t, src, 1<<20, program)
	expect(t, o.Source(), Size-1, program) // by a process that has not asked what is offered
	if body, _, err := src.Open(ctx, "nothing", 0); err == nil {
		body.Close()
		t.Error("a file that is not there is opened")
	} else {
		NotTried(t, err)
	}
	for _, name := range []string{"", "..", "../shop", "/etc/passwd", `a\b`} {
		if body, _, err := src.Open(ctx, name, 0); err == nil {
			body.Close()
			t.Errorf("%q is opened", name)
		} else {
			NotTried(t, err)
		}
	}

	// Other bytes under the same name do not go on where the part of the first ones has ended.
	o.Publish(t, files(2, "shop", other))
	second := head(t, src, first.Tag)
	if string(second.Manifest) != `{"serial":2}` || second.Tag == first.Tag {
		t.Errorf("offered: %s, tag %q after %q", second.Manifest, second.Tag, first.Tag)
	}
	expect(t, src, 1<<20, other)
	o.Publish(t, files(3, "shop", other[:1000]))
	head(t, src, second.Tag)
	expect(t, src, 1<<20, other[:1000])
	expect(t, o.Source(), 1<<20, other[:1000])

	o.Publish(t, without(files(4), "release.json.minisig"))
	if got := head(t, src, ""); string(got.Manifest) != `{"serial":4}` || len(got.Signature) != 0 {
		t.Errorf("without a signature: %s, %s", got.Manifest, got.Signature)
	}
	sums := files(5, "SHA256SUMS", []byte("00  shop\n"), "SHA256SUMS.minisig", []byte("signed\n"))
	if got := head5(t, o, src, sums); string(got.Manifest) != `{"serial":5}` {
		t.Errorf("with both manifests: %s", got.Manifest)
	}
	if got := head5(t, o, src, without(sums, "release.json", "release.json.minisig")); string(got.Manifest) != "00  shop\n" || string(got.Signature) != "signed\n" {
		t.Errorf("of SHA256SUMS: %s, %s", got.Manifest, got.Signature)
	} else if _, err := src.Head(ctx, got.Tag); !errors.Is(err, release.ErrUnchanged) {
		t.Errorf("the same SHA256SUMS: %v", err)
	}

	o.Publish(t, files(6, "release.json", make([]byte, release.MaxManifest)))
	head(t, src, "")
	for _, name := range []string{"release.json", "release.json.minisig"} {
		o.Publish(t, files(7, name, make([]byte, release.MaxManifest+1)))
		if _, err := src.Head(ctx, ""); !errors.Is(err, release.ErrNotAccepted) || errors.Is(err, release.ErrNotTried) {
			t.Errorf("too large a %s: %v", name, err)
		}
	}
	o.Publish(t, map[string][]byte{"shop": program})
	if _, err := src.Head(ctx, ""); err == nil {
		t.Error("an offer without a manifest")
	} else {
		NotTried(t, err)
	}

	o.Publish(t, files(8))
	ended, cancel := context.WithCancel(ctx)
	body, _, err := o.Source().Open(ended, "shop", 0)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, body); !errors.Is(err, context.Canceled) {
		t.Errorf("read after the end of its context: %v", err)
	}
	body.Close()
	if _, err := src.Head(ended, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("asked after the end of its context: %v", err)
	}
}

func head5(t *testing.T, o Origin, src release.Source, files map[string][]byte) release.Offer {
	t.Helper()
	o.Publish(t, files)
	return head(t, src, "")
}

func head(t *testing.T, src release.Source, tag string) release.Offer {
	t.Helper()
	o, err := src.Head(t.Context(), tag)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// expect reads the file shop from byte at on.
func expect(t *testing.T, src release.Source, at int64, want []byte) {
	t.Helper()
	body, from, err := src.Open(t.Context(), "shop", at)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if from > at || from > int64(len(want)) {
		t.Fatalf("begins at %d, %d was asked for", from, at)
	}
	got, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(got, want[from:]) {
		t.Errorf("%d bytes from %d on, right: %v, %v", len(got), from, bytes.Equal(got, want[from:]), err)
	}
}

// NotTried fails the test if err is another kind of error, or shows what a person must not see.
func NotTried(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, release.ErrNotTried) || errors.Is(err, release.ErrNotAccepted) {
		t.Errorf("%v is no ErrNotTried", err)
	}
	if strings.Contains(err.Error(), "s3cret") || strings.ContainsAny(err.Error(), "\x1b\r\n") {
		t.Errorf("the message has what it must not have: %q", err)
	}
}

// Fetch reads a file as often as it gets further, and returns how many requests that took.
func Fetch(ctx context.Context, src release.Source, name string, size int) (got []byte, opens int, err error) {
	for stuck := 0; stuck < 3; stuck++ {
		opens++
		body, from, err := src.Open(ctx, name, int64(len(got)))
		if err != nil {
			return got, opens, err
		}
		got = got[:from]
		before := len(got)
		b, err := io.ReadAll(io.LimitReader(body, int64(size-len(got))))
		body.Close()
		if got = append(got, b...); err == nil {
			return got, opens, nil
		}
		if !errors.Is(err, release.ErrNotTried) {
			return got, opens, err
		}
		if len(got) > before {
			stuck = -1
		}
	}
	return got, opens, errors.New("no progress")
}

// Program finds a program that a test needs. Without it the test is skipped, or fails if the environment variable env
// is set.
func Program(t *testing.T, env, name, how string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name) // which may not be in a user's PATH
	}
	if err != nil && os.Getenv(env) == "" {
		t.Skipf("%v; %s", err, how)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
