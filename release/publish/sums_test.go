package publish

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/release"
)

func hexSum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// TestSums: a SHA256SUMS has its version and serial in the signature.
func TestSums(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one := put(t, t.TempDir(), map[string][]byte{"shop_linux_amd64": shop(t, "linux/amd64", ""), "shop_linux_arm64.tar.gz": archive(t, shop(t, "linux/arm64", ""))})
	sums := func(o *Options) { o.Sums = true }
	s.publish(one, sums)
	text := string(must.Get(os.ReadFile(filepath.Join(s.out, sumsFile)))(t))
	if want := hexSum(shop(t, "linux/amd64", "")) + "  shop_1.5.0_linux_amd64\n"; !strings.HasPrefix(text, want) || strings.Count(text, "\n") != 2 {
		t.Errorf("%s", text)
	}
	sig := string(must.Get(os.ReadFile(filepath.Join(s.out, sumsFile+sigSuffix)))(t))
	if !strings.Contains(sig, "\ntrusted comment: gracex-release shop 1.5.0 1\n") {
		t.Errorf("%s", sig)
	}
	if r := s.publish(one, func(o *Options) { o.Sums, o.Serial = true, 1 }); !r.Unchanged {
		t.Errorf("%+v", r)
	}
	s.refused("never gets another content", put(t, t.TempDir(), map[string][]byte{"shop_linux_amd64": shop(t, "linux/amd64", "other")}), sums)
	if r := s.publish(one, nil); r.Manifest.Serial != 2 { // the next one is a release.json
		t.Errorf("%+v", r.Manifest)
	}
	s.refused("hosts read it before a SHA256SUMS", one, sums)
}

// TestSign: what was made by other tools is signed, if hosts would take it.
func TestSign(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newKey(t)
	sum := strings.Repeat("0", 64)
	manifest := `{"name":"shop","version":"1.5.0","serial":3,"files":[{"os":"linux","arch":"amd64","file":"shop","size":5,"sha256":"` + sum + `"}]}`
	put(t, dir, map[string][]byte{
		"release.json": []byte(manifest),
		"sums":         []byte(sum + "  shop_1.5.0_linux_amd64.tar.gz\n"),
		"twice.json":   []byte(strings.Replace(manifest, `"serial":3`, `"serial":3,"Serial":4`, 1)),
		"other":        []byte("hello\n"),
		"empty":        nil,
	})
	is := release.Manifest{Name: "shop", Version: "1.5.0", Serial: 3}
	for _, name := range []string{"release.json", "sums", "release.json"} {
		m, err := Sign(filepath.Join(dir, name), k, []string{k.Public()}, is)
		if err != nil || m.Name != "shop" || m.Serial != 3 || len(m.Files) != 1 {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
		v, err := Verify(t.Context(), filepath.Join(dir, name), []string{newKey(t).Public(), k.Public()}, "")
		if err != nil || v.Signer != k.Public() || !v.Files[0].Missing {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
	for name, want := range map[string]string{"twice.json": "is there twice", "other": "not a hash and a file", "empty": "no file in it"} {
		if _, err := Sign(filepath.Join(dir, name), k, nil, is); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Sign(filepath.Join(dir, "sums"), k, nil, release.Manifest{}); !errors.Is(err, ErrRefused) {
		t.Errorf("without a name: %v", err)
	}
	if _, err := Sign(filepath.Join(dir, "none"), k, nil, is); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
	if n := len(must.Get(os.ReadDir(dir))(t)); n != 7 {
		t.Errorf("%d files", n)
	}
}

// TestVerify_Finds what was changed after the publish.
func TestVerify_Finds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	amd := archive(t, shop(t, "linux/amd64", ""))
	s.publish(put(t, t.TempDir(), map[string][]byte{"shop_linux_amd64.tar.gz": amd, "shop_linux_arm64": shop(t, "linux/arm64", "")}), nil)
	file := filepath.Join(s.out, "shop_1.5.0_linux_amd64.tar.gz")
	keys := []string{s.key.Public()}
	put(t, s.out, map[string][]byte{filepath.Base(file): amd[:len(amd)-1]})
	v, err := Verify(t.Context(), s.out, keys, "")
	if !errors.Is(err, ErrRefused) || v.Files[0].Err == nil || v.Files[1].Err != nil || v.Files[1].Missing {
		t.Errorf("%+v, %v", v, err)
	}
	must.Do(t, os.Remove(file))
	if v, err := Verify(t.Context(), filepath.Join(s.out, manifestFile), keys, ""); err != nil || !v.Files[0].Missing || v.Files[1].Missing {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := Verify(t.Context(), s.out, []string{newKey(t).Public()}, ""); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "names key "+s.key.ID()) {
		t.Errorf("%v", err)
	}
	if _, err := Verify(t.Context(), s.out, keys, "till"); err != nil { // no archive is there, and a plain program has any name
		t.Errorf("%v", err)
	}
	if _, err := Verify(t.Context(), s.out, nil, ""); err == nil {
		t.Error("without a key")
	}
	// A manifest that says something wrong about a file, though it is signed.
	raw := string(must.Get(os.ReadFile(filepath.Join(s.out, manifestFile)))(t))
	put(t, s.out, map[string][]byte{filepath.Base(file): amd, manifestFile: []byte(strings.Replace(raw, hexSum(shop(t, "linux/amd64", "")), hexSum(nil), 1))})
	must.Get(Sign(filepath.Join(s.out, manifestFile), s.key, nil, release.Manifest{}))(t)
	if v, err := Verify(t.Context(), s.out, keys, ""); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "the program in shop_1.5.0_linux_amd64.tar.gz") {
		t.Errorf("%+v, %v", v, err)
	}
	put(t, s.out, map[string][]byte{manifestFile: []byte(strings.Replace(raw, `"arch": "arm64"`, `"arch": "riscv64"`, 1))})
	must.Get(Sign(filepath.Join(s.out, manifestFile), s.key, nil, release.Manifest{}))(t)
	if v, err := Verify(t.Context(), s.out, keys, ""); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "is for linux/arm64, and the manifest says linux/riscv64") {
		t.Errorf("%+v, %v", v, err)
	}
	must.Do(t, os.Remove(filepath.Join(s.out, manifestFile+sigSuffix)))
	if _, err := Verify(t.Context(), s.out, keys, ""); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "not signed") {
		t.Errorf("%v", err)
	}
}
