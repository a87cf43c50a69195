package publish

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/minisigntest"
	"github.com/gracex-go/gracex/internal/must"
)

const weakPassword = "not a secret"

func weak() (string, error) { return weakPassword, nil }

func newKey(t testing.TB) *Key {
	t.Helper()
	return must.Get(NewKey())(t)
}

// TestKey_FilesAreThoseOfMinisign: each reads the keys of the other and verifies its signatures, with the comment.
func TestKey_FilesAreThoseOfMinisign(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	put(t, dir, map[string][]byte{"msg": []byte("hello")})
	private, public, err := newKey(t).Write(dir, "ours", "")
	must.Do(t, err)
	minisigntest.Run(t, "", "", "-G", "-W", "-p", at("theirs.pub"), "-s", at("theirs.key"))
	// The testdata has a key of minisign whose password is derived quickly.
	for key, pub := range map[string]string{private: public, at("theirs.key"): at("theirs.pub"), "testdata/weak.key": "testdata/weak.pub"} {
		k, err := ReadKey(key, weak)
		must.Do(t, err)
		if p, err := PublicKey(pub); err != nil || p != k.Public() {
			t.Errorf("%s: %s, %s: %s, %v", key, k.Public(), pub, p, err)
		}
		sig := must.Get(k.sign([]byte("hello"), "a comment"))(t)
		put(t, dir, map[string][]byte{"msg.minisig": sig})
		if out := minisigntest.Run(t, "", "", "-V", "-H", "-p", pub, "-m", at("msg")); !strings.Contains(out, "Trusted comment: a comment\n") {
			t.Errorf("%s: %s", key, out)
		}
		minisigntest.Run(t, "", weakPassword+"\n", "-S", "-s", key, "-m", at("msg"), "-t", "gracex-release shop 1.5.0 1")
		sig = must.Get(os.ReadFile(at("msg.minisig")))(t)
		if _, _, err := genuine(t.Context(), []byte("hello"), sig, []string{k.Public()}, "shop"); err == nil || strings.Contains(err.Error(), "signed") {
			t.Errorf("%s: %v; want one about what was signed", key, err)
		}
		if out := minisigntest.Run(t, "", "", "-V", "-P", k.Public(), "-m", at("msg")); !strings.Contains(out, k.ID()) && !strings.Contains(out, "verified") {
			t.Errorf("%s: %s", key, out)
		}
	}
}

// TestKey_Password: minisign reads an encrypted key. It takes seconds and 1 GiB, so this test runs only where minisign
// must be there.
func TestKey_Password(t *testing.T) {
	if !minisigntest.Must() {
		t.Skip("minisign does not have to be here (CORE_TEST_MINISIGN): it would take 1 GiB of memory")
	}
	dir := t.TempDir()
	private, public, err := newKey(t).Write(dir, "k", weakPassword)
	must.Do(t, err)
	put(t, dir, map[string][]byte{"msg": []byte("hello")})
	minisigntest.Run(t, "", weakPassword+"\n", "-S", "-s", private, "-m", filepath.Join(dir, "msg"))
	minisigntest.Run(t, "", "", "-V", "-p", public, "-m", filepath.Join(dir, "msg"))
}

func TestKey_WriteNeverWritesOver(t *testing.T) {
	t.Parallel()
	for _, there := range []string{"k.key", "k.pub"} {
		dir := put(t, t.TempDir(), map[string][]byte{there: []byte("mine")})
		if _, _, err := newKey(t).Write(dir, "k", ""); err == nil || !strings.Contains(err.Error(), "never written over") {
			t.Errorf("%s: %v", there, err)
		}
		entries := must.Get(os.ReadDir(dir))(t)
		if b := must.Get(os.ReadFile(filepath.Join(dir, there)))(t); string(b) != "mine" || len(entries) != 1 {
			t.Errorf("%s: %q, %v", there, b, entries)
		}
	}
	dir := t.TempDir()
	must.Do(t, os.Symlink("elsewhere", filepath.Join(dir, "k.key")))
	if _, _, err := newKey(t).Write(dir, "k", ""); err == nil {
		t.Error("it was written through a link")
	}
	private, _, err := newKey(t).Write(t.TempDir(), "k", "")
	must.Do(t, err)
	if fi := must.Get(os.Stat(private))(t); fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", fi.Mode())
	}
}

// TestKey_Errors: each says what is wrong, and none has a secret in it.
func TestKey_Errors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := newKey(t)
	private, public, err := k.Write(dir, "k", "")
	must.Do(t, err)
	text := string(must.Get(os.ReadFile(private))(t))
	secret := strings.Split(text, "\n")[1]
	damaged := []byte(secret)
	damaged[100] ^= 1 // in the seed
	put(t, dir, map[string][]byte{"damaged": damaged, "empty": nil, "text": []byte("hello"), "large": make([]byte, maxKey+1)})
	wrong := func() (string, error) { return "hunter2", nil }
	read := func(file string, password func() (string, error)) error {
		_, err := ReadKey(file, password)
		return err
	}
	open := func(text string) error {
		_, err := PublicKey(text)
		return err
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{read(filepath.Join(dir, "none"), nil), "none: no such file"},
		{read(dir, nil), "is a directory"},
		{read(public, nil), "it is the public key"},
		{read(filepath.Join(dir, "damaged"), nil), "damaged"},
		{read(filepath.Join(dir, "empty"), nil), "no key of minisign"},
		{read(filepath.Join(dir, "text"), nil), "no key of minisign"},
		{read(filepath.Join(dir, "large"), nil), "more than 4096 bytes"},
		{read("testdata/weak.key", nil), "it is encrypted"},
		{read("testdata/weak.key", wrong), "password is wrong"},
		{read(secret, nil), "make another key"},
		{read(text, nil), "make another key"},
		{open(secret), "make another key"},
		{open(private), "it is the private key"},
		{open(filepath.Join(dir, "text")), "no key of minisign"},
		{open("RWnone"), "RWnone: no such file"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%v; want %q", c.err, c.want)
		}
		if c.err != nil && (strings.Contains(c.err.Error(), secret[50:60]) || strings.Contains(c.err.Error(), "hunter2")) {
			t.Errorf("it tells the secret: %v", c.err)
		}
	}
	if !errors.Is(read("testdata/weak.key", wrong), ErrPassword) {
		t.Error("no ErrPassword")
	}
}
