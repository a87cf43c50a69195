package publish

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/release"
)

// now is a time that stands still.
var now = time.Date(2026, 11, 30, 4, 0, 0, 0, time.UTC)

// site is a folder with releases, and the key for them.
type site struct {
	t   testing.TB
	out string
	key *Key
}

func newSite(t testing.TB) *site {
	t.Helper()
	return &site{t, filepath.Join(t.TempDir(), "public"), newKey(t)}
}

func (s *site) options(dir string, change func(*Options)) Options {
	o := Options{Dir: dir, Out: s.out, Name: "shop", Version: "1.5.0", Key: s.key, Now: func() time.Time { return now }}
	if change != nil {
		change(&o)
	}
	return o
}

// publish has to work. Nothing but whole files is left in the folder.
func (s *site) publish(dir string, change func(*Options)) Result {
	s.t.Helper()
	r, err := Publish(context.Background(), s.options(dir, change))
	must.Do(s.t, err)
	s.whole()
	return r
}

// whole verifies the folder, with all files of its manifest.
func (s *site) whole() Verified {
	s.t.Helper()
	v, err := Verify(context.Background(), s.out, []string{s.key.Public()}, "")
	must.Do(s.t, err)
	for _, f := range v.Files {
		if f.Missing {
			s.t.Errorf("%s is missing", f.File.File)
		}
	}
	for _, name := range s.list() {
		if strings.HasPrefix(name, newPrefix) {
			s.t.Errorf("%s is left", name)
		}
	}
	return v
}

func (s *site) list() (names []string) {
	s.t.Helper()
	entries, err := os.ReadDir(s.out)
	must.Do(s.t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// refused publishes, and nothing that hosts see has changed.
func (s *site) refused(want, dir string, change func(*Options)) {
	s.t.Helper()
	before := s.content()
	r, err := Publish(context.Background(), s.options(dir, change))
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), want) {
		s.t.Errorf("%+v, %v; want %q", r.Manifest, err, want)
	}
	if after := s.content(); !reflect.DeepEqual(before, after) {
		s.t.Errorf("%q: the folder was changed, from %v to %v", want, keysOf(before), keysOf(after))
	}
}

func (s *site) content() map[string]string {
	all := map[string]string{}
	entries, _ := os.ReadDir(s.out)
	for _, e := range entries {
		b, _ := os.ReadFile(filepath.Join(s.out, e.Name()))
		all[e.Name()] = string(b)
	}
	return all
}

func keysOf(m map[string]string) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	return names
}

// TestPublish_AFolderOfPrograms: each system, packed in each way, by the programs' own word; other files are passed over.
func TestPublish_AFolderOfPrograms(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dir := put(t, t.TempDir(), map[string][]byte{
		"shop_linux_amd64":          shop(t, "linux/amd64", ""),
		"shop_linux_arm64.gz":       gz(t, shop(t, "linux/arm64", "")),
		"shop-freebsd-amd64.zst":    zst(t, shop(t, "freebsd/amd64", "")),
		"shop_darwin_arm64.tar.gz":  archive(t, shop(t, "darwin/arm64", "")),
		"shop_windows_amd64.exe":    shop(t, "windows/amd64", ""),
		"shop_windows_amd64.tar.gz": gz(t, tarOf(t, entry{name: "shop.exe", body: shop(t, "windows/amd64", ""), mode: 0o755})),
		"shop-1.5.0-riscv.tar.zst":  zst(t, tarOf(t, entry{name: "shop-1.5.0/shop", body: shop(t, "linux/riscv64", ""), mode: 0o755})),
		"shop_linux_amd64.sha256":   []byte("0000"),
		"shopkeeper_linux_amd64":    shop(t, "linux/amd64", "another"),
		"README.md":                 []byte("read me"),
		"shop_linux_mips.d/shop":    nil,
		"shop_linux_amd64.tar.gz.d": []byte("x"),
	})
	r := s.publish(dir, func(o *Options) {
		o.Waves, o.Expires = []release.Wave{{Share: 0.1, After: "0s"}, {Share: 1, After: "2h"}}, now.Add(time.Hour)
		o.Revoke = []string{strings.Repeat("AB", 32)}
	})
	want := []string{
		"darwin/arm64 shop_1.5.0_darwin_arm64.tar.gz", "freebsd/amd64 shop_1.5.0_freebsd_amd64.zst", "linux/amd64 shop_1.5.0_linux_amd64",
		"linux/arm64 shop_1.5.0_linux_arm64.gz", "linux/riscv64 shop-1.5.0-riscv.tar.zst", "windows/amd64 shop_1.5.0_windows_amd64.tar.gz",
	}
	if got := systems(r.Manifest); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	v := s.whole()
	if v.Signer != s.key.Public() || !reflect.DeepEqual(v.Manifest, r.Manifest) || v.Manifest.Serial != 1 || !v.Manifest.Time.Equal(now) ||
		!v.Manifest.Expires.Equal(now.Add(time.Hour)) || len(v.Manifest.Waves) != 2 || !slices.Equal(v.Manifest.Revoked, []string{strings.Repeat("ab", 32)}) {
		t.Errorf("%+v\nread back %+v", r.Manifest, v)
	}
	if len(s.list()) != len(want)+2 {
		t.Errorf("%q", s.list())
	}
	bare := newSite(t)
	bare.publish(put(t, t.TempDir(), map[string][]byte{"shop-windows.exe": shop(t, "windows/amd64", "")}), nil)
	if !slices.Contains(bare.list(), "shop_1.5.0_windows_amd64.exe") {
		t.Errorf("%q", bare.list())
	}
}

// TestPublish_Goreleaser: its list says what there is. One file for each system is taken.
func TestPublish_Goreleaser(t *testing.T) {
	t.Parallel()
	amd, arm := shop(t, "linux/amd64", ""), shop(t, "linux/arm64", "")
	dir := gorel(t, "1.5.0", map[string][]byte{
		"dist/shop_linux_amd64_v1/shop":          amd,
		"dist/shop_linux_amd64_v3/shop":          shop(t, "linux/amd64", "v3"),
		"dist/shop_1.5.0_linux_amd64.tar.gz":     archive(t, amd),
		"dist/shop_1.5.0_linux_amd64v3.tar.gz":   archive(t, shop(t, "linux/amd64", "v3")),
		"dist/shop_linux_arm64_v8.0/shop":        arm,
		"dist/shopctl_1.5.0_linux_amd64.tar.gz":  gz(t, tarOf(t, entry{name: "shopctl", body: amd, mode: 0o755})),
		"dist/shop_1.5.0_windows_amd64.zip":      []byte("PK"),
		"dist/shop_1.5.0_checksums.txt":          []byte("..."),
		"dist/shop_1.5.0_linux_amd64.deb":        []byte("..."),
		"dist/shop_darwin_all/shop":              shop(t, "darwin/arm64", ""),
		"dist/shop_1.5.0_linux_amd64.sbom.json":  []byte("{}"),
		"dist/shop_1.5.0_linux_arm64.tar.gz.old": []byte("..."),
	},
		made("Binary", "dist/shop_linux_amd64_v1/shop", "linux", "amd64", `"Binary":"shop"`),
		strings.Replace(made("Archive", "dist/shop_1.5.0_linux_amd64v3.tar.gz", "linux", "amd64", `"Binaries":["shop"]`), `"goarch"`, `"goamd64":"v3","goarch"`, 1),
		strings.Replace(made("Archive", "dist/shop_1.5.0_linux_amd64.tar.gz", "linux", "amd64", `"Binaries":["shop"]`), `"goarch"`, `"goamd64":"v1","goarch"`, 1),
		made("Binary", "dist/shop_linux_arm64_v8.0/shop", "linux", "arm64", `"Binary":"shop","Checksum":"sha512:00"`),
		made("Archive", "dist/shopctl_1.5.0_linux_amd64.tar.gz", "linux", "amd64", `"Binaries":["shopctl"]`),
		made("Archive", "dist/shop_1.5.0_windows_amd64.zip", "windows", "amd64", `"Binaries":["shop"],"Format":"zip"`),
		made("Binary", "dist/shop_darwin_all/shop", "darwin", "all", `"Binary":"shop"`),
		made("Checksum", "dist/shop_1.5.0_checksums.txt", "", "", ``),
		made("Docker Image", "example.org/shop", "linux", "amd64", `"Binaries":{"another":"shape"}`),
		made("Linux Package", "dist/shop_1.5.0_linux_amd64.deb", "linux", "amd64", ``),
		made("SBOM", "dist/shop_1.5.0_linux_amd64.sbom.json", "linux", "amd64", ``),
		`{"name":"metadata.json","path":"dist/metadata.json","internal_type":30,"type":"Metadata"}`,
	)
	s := newSite(t)
	r := s.publish(dir, func(o *Options) { o.Name, o.Version = "", "" })
	if got := systems(r.Manifest); !slices.Equal(got, []string{"linux/amd64 shop_1.5.0_linux_amd64.tar.gz", "linux/arm64 shop_1.5.0_linux_arm64"}) || r.Manifest.Version != "1.5.0" {
		t.Errorf("%q, %+v", got, r.Manifest)
	}
	if notes := strings.Join(r.Notes, "\n"); strings.Count(notes, "passed over") != 4 {
		t.Errorf("%s", notes)
	}
	moved := filepath.Join(t.TempDir(), "elsewhere") // the list's paths begin at the project's directory
	must.Do(t, os.Rename(dir, moved))
	other := newSite(t)
	if r := other.publish(moved, func(o *Options) { o.Version = "v1.5.0" }); r.Manifest.Version != "v1.5.0" {
		t.Errorf("%+v", r.Manifest)
	}
}

// TestPublish_AHostTakesIt: the store of package release stages what was published, from each kind of manifest.
func TestPublish_AHostTakesIt(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the store is for Linux")
	}
	self := must.Get(os.ReadFile(must.Get(os.Executable())(t)))(t)
	name := "shop_1.5.0_" + runtime.GOOS + "_" + runtime.GOARCH + ".tar.gz"
	dir := put(t, t.TempDir(), map[string][]byte{name: archive(t, self)})
	for _, sums := range []bool{false, true} {
		s := newSite(t)
		r := s.publish(dir, func(o *Options) { o.Sums, o.Serial = sums, 7 })
		root := t.TempDir()
		must.Do(t, os.Chmod(root, 0o755))
		store := must.Get(release.Open(root, "shop"))(t)
		defer store.Close()
		staged, err := store.Stage(t.Context(), origin{s.out}, release.Trust{Name: "shop", Keys: []string{s.key.Public()}}, release.StageOptions{}, nil)
		if err != nil || staged.Version != "1.5.0" || staged.Serial != 7 || staged.SHA256 != r.Manifest.Files[0].Unpacked.SHA256 {
			t.Errorf("sums %v: %+v, %v", sums, staged, err)
		}
	}
}

// origin is a folder as a source.
type origin struct{ dir string }

func (o origin) String() string { return o.dir }

func (o origin) Head(context.Context, string) (offer release.Offer, err error) {
	file := filepath.Join(o.dir, manifestFile)
	if _, err := os.Stat(file); err != nil {
		file = filepath.Join(o.dir, sumsFile)
	}
	offer.Manifest, offer.Signature, err = pair(file)
	return offer, err
}

func (o origin) Open(_ context.Context, name string, _ int64) (io.ReadCloser, int64, error) {
	f, err := os.Open(filepath.Join(o.dir, name))
	return f, 0, err
}

// TestPublish_NothingHalfIsOffered: after each step the folder has a whole release. Between the two renames of the
// manifest it has one that no host takes.
func TestPublish_NothingHalfIsOffered(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.publish(put(t, t.TempDir(), map[string][]byte{"shop_linux_amd64": shop(t, "linux/amd64", "old")}), func(o *Options) { o.Version = "1.4.0" })
	dir := put(t, t.TempDir(), map[string][]byte{"shop_linux_amd64": shop(t, "linux/amd64", ""), "shop_linux_arm64": shop(t, "linux/arm64", "")})
	var steps []string
	s.publish(dir, func(o *Options) {
		o.step = func(name string) {
			steps = append(steps, name)
			v, err := Verify(t.Context(), s.out, []string{s.key.Public()}, "")
			switch name {
			case manifestFile + sigSuffix:
				if !errors.Is(err, ErrRefused) || v.Manifest.Name != "" {
					t.Errorf("%s: %+v, %v", name, v, err)
				}
				return
			case manifestFile:
				if v.Manifest.Version != "1.5.0" || v.Manifest.Serial != 2 {
					t.Errorf("%s: %+v", name, v.Manifest)
				}
			default:
				if v.Manifest.Version != "1.4.0" {
					t.Errorf("%s: %+v", name, v.Manifest)
				}
			}
			if err != nil || slices.ContainsFunc(v.Files, func(f VerifiedFile) bool { return f.Missing }) {
				t.Errorf("%s: %+v, %v", name, v, err)
			}
		}
	})
	if want := []string{"copied", "shop_1.5.0_linux_amd64", "shop_1.5.0_linux_arm64", "release.json.minisig", "release.json"}; !slices.Equal(steps, want) {
		t.Errorf("%q", steps)
	}
}

// TestPublish_GoesOnAfterACut: a publish that was ended between the signature and the manifest is finished by the next
// one, and what others have left is removed.
func TestPublish_GoesOnAfterACut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dir := put(t, t.TempDir(), map[string][]byte{"shop_linux_amd64": shop(t, "linux/amd64", "")})
	s.publish(dir, nil)
	var cut []byte
	s.publish("", func(o *Options) {
		o.Paused = true
		o.step = func(name string) {
			if name == manifestFile+sigSuffix {
				cut = must.Get(os.ReadFile(filepath.Join(s.out, manifestFile)))(t)
			}
		}
	})
	whole := string(must.Get(os.ReadFile(filepath.Join(s.out, manifestFile)))(t))
	put(t, s.out, map[string][]byte{manifestFile: cut, newPrefix + manifestFile: []byte(whole), newPrefix + "123": []byte("half")})
	if _, err := Verify(t.Context(), s.out, []string{s.key.Public()}, ""); err == nil {
		t.Fatal("the cut is none")
	}
	r := s.publish("", nil)
	if r.Manifest.Serial != 3 || r.Manifest.Paused || !strings.Contains(strings.Join(r.Notes, ""), "cut off") {
		t.Errorf("%+v", r)
	}
	// What belongs to no signature is no manifest.
	put(t, s.out, map[string][]byte{newPrefix + manifestFile: []byte(strings.Replace(whole, `"serial": 2`, `"serial": 9`, 1))})
	if r := s.publish("", nil); r.Manifest.Serial != 4 {
		t.Errorf("%+v", r)
	}
}

// TestPublish_After is what is compared with the release before.
func TestPublish_After(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one := put(t, t.TempDir(), map[string][]byte{"shop_linux_amd64.tar.gz": archive(t, shop(t, "linux/amd64", "")), "shop_linux_arm64": shop(t, "linux/arm64", "")})
	first := s.publish(one, nil)
	sum := first.Manifest.Files[0].Unpacked.SHA256

	s.refused("serial 1 is published already, with something else", one, func(o *Options) { o.Serial, o.Paused = 1, true })
	if r := s.publish(one, func(o *Options) { o.Serial, o.Now = 1, func() time.Time { return now.Add(time.Hour) } }); !r.Unchanged || !reflect.DeepEqual(r.Manifest, first.Manifest) {
		t.Errorf("published twice: %+v", r)
	}
	if r := s.publish(one, nil); r.Unchanged || r.Manifest.Serial != 2 {
		t.Errorf("published again: %+v", r)
	}
	// A version never gets another content, also under another name and in another packing.
	other := shop(t, "linux/amd64", "other")
	s.refused("never gets another content", put(t, t.TempDir(), map[string][]byte{"shop_linux_amd64.tar.gz": archive(t, other)}), nil)
	s.refused("1.5.0 for linux/amd64 was", put(t, t.TempDir(), map[string][]byte{"shop_linux_amd64": other}), nil)
	s.refused("another folder for each version", put(t, t.TempDir(), map[string][]byte{first.Manifest.Files[0].File: archive(t, other)}), func(o *Options) { o.KeepNames, o.Version = true, "1.6.0" })
	// The same program, packed anew, is the same.
	packed := gz(t, tarOf(t, entry{name: "shop", body: shop(t, "linux/amd64", ""), mode: 0o755}))
	r := s.publish(put(t, t.TempDir(), map[string][]byte{"shop_linux_amd64.tar.gz": packed}), nil)
	if notes := strings.Join(r.Notes, "\n"); r.Manifest.Files[0] != (release.File{}) && r.Manifest.Files[0].SHA256 != first.Manifest.Files[0].SHA256 ||
		!strings.Contains(notes, "packed anew") || !strings.Contains(notes, "has no file for linux/arm64") {
		t.Errorf("%+v", r)
	}

	// Paused, and on again, without the programs at hand. What is revoked stays so.
	s.publish(one, func(o *Options) { o.Waves = []release.Wave{{Share: 0.5, After: "0s"}} })
	r = s.publish("", func(o *Options) { o.Paused, o.Revoke, o.Name, o.Version = true, []string{sum}, "", "" })
	if m := r.Manifest; !m.Paused || m.Version != "1.5.0" || m.Serial != 5 || len(m.Files) != 2 || len(m.Waves) != 1 || !slices.Equal(m.Revoked, []string{sum}) {
		t.Errorf("%+v", m)
	}
	s.refused("is revoked", "", nil)
	s.refused("has shop 1.5.0", "", func(o *Options) { o.Version = "1.6.0" })
	armFile := r.Manifest.Files[1].File
	put(t, s.out, map[string][]byte{armFile: other})
	s.refused("the manifest says", "", func(o *Options) { o.Paused = true })
	put(t, s.out, map[string][]byte{armFile: shop(t, "linux/arm64", "")})
	next := put(t, t.TempDir(), map[string][]byte{"shop_linux_amd64": shop(t, "linux/amd64", "1.6.0")})
	if r := s.publish(next, func(o *Options) { o.Version = "1.6.0" }); r.Manifest.Serial != 6 || !slices.Equal(r.Manifest.Revoked, []string{sum}) {
		t.Errorf("%+v", r.Manifest)
	}
	s.refused("serial 5 is lower than that of shop 1.6.0, 6", next, func(o *Options) { o.Version, o.Serial = "1.6.0", 5 })
	if _, err := os.Stat(filepath.Join(s.out, first.Manifest.Files[0].File)); err != nil {
		t.Errorf("what an earlier manifest names is gone: %v", err)
	}

	// A folder that does not have the release before gets it with --previous.
	fresh := &site{t, filepath.Join(t.TempDir(), "fresh"), s.key}
	if r := fresh.publish(next, func(o *Options) { o.Version, o.Previous = "1.6.0", filepath.Join(s.out, manifestFile) }); r.Manifest.Serial != 7 {
		t.Errorf("%+v", r.Manifest)
	}
	if _, err := Publish(t.Context(), fresh.options(next, func(o *Options) { o.Previous = filepath.Join(s.out, "none") })); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("no release before: %v", err)
	}
}

// TestPublish_KeyInTheField: hosts must have the key. A new key signs when they do, and knows what the old one signed.
func TestPublish_KeyInTheField(t *testing.T) {
	t.Parallel()
	s, next := newSite(t), newKey(t)
	dir := put(t, t.TempDir(), map[string][]byte{"shop_linux_amd64": shop(t, "linux/amd64", "")})
	s.publish(dir, func(o *Options) { o.FieldKeys = []string{next.Public(), s.key.Public()} })
	s.refused("hosts would not accept it: they have the keys "+s.key.ID(), dir, func(o *Options) { o.Key, o.FieldKeys = next, []string{s.key.Public()} })
	s.refused("no key that is configured", dir, func(o *Options) { o.Key = next })
	old := s.key
	s.key = next
	if r := s.publish(dir, func(o *Options) { o.FieldKeys = []string{old.Public(), next.Public()} }); r.Manifest.Serial != 2 {
		t.Errorf("%+v", r.Manifest)
	}
	manifest := filepath.Join(s.out, manifestFile)
	if _, err := Sign(manifest, old, []string{next.Public()}, release.Manifest{}); !errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
	s.whole()
	put(t, s.out, map[string][]byte{manifestFile: []byte("{}")})
	s.refused("the release before", dir, nil)
}

// TestPublish_Refuses is bad input. Nothing is offered.
func TestPublish_Refuses(t *testing.T) {
	t.Parallel()
	amd, arm := shop(t, "linux/amd64", ""), shop(t, "linux/arm64", "")
	tgz := func(entries ...entry) map[string][]byte {
		return map[string][]byte{"shop_linux_amd64.tar.gz": gz(t, tarOf(t, entries...))}
	}
	program := entry{name: "shop", body: amd, mode: 0o755}
	plain := func(files map[string][]byte) string { return put(t, t.TempDir(), files) }
	linked := plain(map[string][]byte{"real": amd})
	must.Do(t, os.Symlink("real", filepath.Join(linked, "shop_linux_amd64")))
	for name, c := range map[string]struct {
		want   string
		dir    string
		change func(*Options)
	}{
		"nothing":              {"has no file with the program shop", plain(map[string][]byte{"README": nil}), nil},
		"another program":      {"has no file with the program shop", plain(map[string][]byte{"till_linux_amd64": amd}), nil},
		"text":                 {"shop_linux_amd64 is passed over", plain(map[string][]byte{"shop_linux_amd64": []byte("#!/bin/sh")}), nil},
		"no program inside":    {"no executable file in it has the name shop", plain(tgz(entry{name: "till", body: amd, mode: 0o755})), nil},
		"not executable":       {"no executable file in it has the name shop", plain(tgz(entry{name: "shop", body: amd, mode: 0o644})), nil},
		"two programs":         {"two programs are in it", plain(tgz(program, entry{name: "v3/shop", body: amd, mode: 0o755})), nil},
		"a link inside":        {"links are not allowed", plain(tgz(program, entry{name: "shop2", body: []byte("shop"), kind: '2'})), nil},
		"out of the archive":   {"leads out of the archive", plain(tgz(entry{name: "../shop", body: amd, mode: 0o755})), nil},
		"setuid":               {"setuid", plain(tgz(entry{name: "shop", body: amd, mode: 0o4755})), nil},
		"half an archive":      {"unexpected EOF", plain(map[string][]byte{"shop_linux_amd64.tar.gz": archive(t, amd)[:200]}), nil},
		"no archive":           {"invalid header", plain(map[string][]byte{"shop_linux_amd64.tar.gz": amd}), nil},
		"a link":               {"is no plain file", linked, nil},
		"another processor":    {"is for linux/arm64, and the program in it for linux/amd64", plain(map[string][]byte{"shop_linux_arm64": amd}), nil},
		"another system":       {"is for darwin/amd64, and the program in it for linux/amd64", plain(map[string][]byte{"shop_darwin_amd64.gz": gz(t, amd)}), nil},
		"no Go":                {"it is no Go program", plain(map[string][]byte{"shop_linux_amd64": bytes.ReplaceAll(amd, []byte("Go buildinf"), []byte("C  buildinf"))}), nil},
		"without gracex":       {"does not contain gracex", plain(map[string][]byte{"shop_linux_amd64": programFor(t, "linux", "amd64", "", "")}), nil},
		"two for one system":   {"are both for linux/amd64", plain(map[string][]byte{"shop_1.4.0_linux_amd64": amd, "shop_1.5.0_linux_amd64": amd}), nil},
		"two by their content": {"two files have the name shop_1.5.0_linux_amd64", plain(map[string][]byte{"shop": amd, "shop_linux_amd64": amd}), nil},
		"no name":              {"give it", plain(map[string][]byte{"shop_linux_amd64": amd}), func(o *Options) { o.Name = "" }},
		"no version":           {"not known", plain(map[string][]byte{"shop_linux_amd64": amd}), func(o *Options) { o.Version = "" }},
		"a version with /":     {"the version", plain(map[string][]byte{"shop_linux_amd64": amd}), func(o *Options) { o.Version = "../1" }},
		"a name with a space":  {"has no file", plain(map[string][]byte{"shop_linux_amd64": amd}), func(o *Options) { o.Name = "my shop" }},
		"a revoked one":        {"no SHA-256", plain(map[string][]byte{"shop_linux_amd64": amd}), func(o *Options) { o.Revoke = []string{"1.4.0"} }},
		"itself revoked":       {"is revoked", plain(map[string][]byte{"shop_linux_amd64": amd}), func(o *Options) { o.Revoke = []string{hexSum(amd)} }},
		"waves that fall":      {"shares rise", plain(map[string][]byte{"shop_linux_amd64": amd}), func(o *Options) { o.Waves = []release.Wave{{Share: 1, After: "0s"}, {Share: 0.5, After: "1h"}} }},
		"expired":              {"which is over", plain(map[string][]byte{"shop_linux_amd64": amd}), func(o *Options) { o.Expires = now }},
		"again, without one":   {"there is no release", "", nil},
		"sums, paused":         {"can't be paused", plain(map[string][]byte{"shop_linux_amd64": amd}), func(o *Options) { o.Sums, o.Paused = true, true }},
		"sums, without system": {"does not say for which system", plain(map[string][]byte{"shop": amd}), func(o *Options) { o.Sums, o.KeepNames = true, true }},
		"other version":        {"is the version 1.4.0 of goreleaser", gorel(t, "1.4.0", map[string][]byte{"dist/shop": amd}, made("Binary", "dist/shop", "linux", "amd64", `"Binary":"shop"`)), nil},
		"changed since": {"goreleaser made one with", gorel(t, "1.5.0", map[string][]byte{"dist/shop": amd},
			made("Binary", "dist/shop", "linux", "amd64", `"Binary":"shop","Checksum":"sha256:`+hexSum(arm)+`"`)), nil},
		"gone since":     {"is not in the folder", gorel(t, "1.5.0", nil, made("Binary", "dist/shop", "linux", "amd64", `"Binary":"shop"`)), nil},
		"elsewhere":      {"is not in the folder", gorel(t, "1.5.0", map[string][]byte{"shop": amd}, made("Binary", "../shop", "linux", "amd64", `"Binary":"shop"`)), nil},
		"wrongly listed": {"is for linux/arm64, and the program in it for linux/amd64", gorel(t, "1.5.0", map[string][]byte{"dist/shop": amd}, made("Binary", "dist/shop", "linux", "arm64", `"Binary":"shop"`)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.refused(c.want, c.dir, c.change)
			if files := s.content(); len(files) > 0 {
				t.Errorf("%v", keysOf(files))
			}
		})
	}
}

// TestPublish_CantWrite: an error of this machine is no refusal, and leaves nothing behind.
func TestPublish_CantWrite(t *testing.T) {
	t.Parallel()
	dir := put(t, t.TempDir(), map[string][]byte{"shop_linux_amd64": shop(t, "linux/amd64", ""), "file": nil})
	s := newSite(t)
	readOnly := filepath.Join(t.TempDir(), "out")
	must.Do(t, os.Mkdir(readOnly, 0o555))
	if os.Geteuid() == 0 {
		readOnly = "/proc/self/task" // root writes to any other
	}
	for _, out := range []string{readOnly, filepath.Join(dir, "file"), filepath.Join(dir, "file", "out")} {
		_, err := Publish(t.Context(), s.options(dir, func(o *Options) { o.Out = out }))
		if err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", out, err)
		}
	}
	for _, from := range []string{filepath.Join(dir, "none"), filepath.Join(dir, "file")} {
		if _, err := Publish(t.Context(), s.options(from, nil)); err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", from, err)
		}
	}
	put(t, dir, map[string][]byte{"artifacts.json": []byte("[")})
	if _, err := Publish(t.Context(), s.options(dir, nil)); err == nil || !strings.Contains(err.Error(), "metadata.json") {
		t.Errorf("%v", err)
	}
	s.refused("can't be the folder that is published", dir, func(o *Options) { o.Out = dir + "/." })
	ended, end := context.WithCancel(t.Context())
	end()
	good := put(t, t.TempDir(), map[string][]byte{"shop_linux_amd64": shop(t, "linux/amd64", "")})
	if _, err := Publish(ended, s.options(good, nil)); !errors.Is(err, context.Canceled) || len(s.list()) != 0 {
		t.Errorf("%v, %q", err, s.list())
	}
	to := must.Get(openOut(s.out))(t) // another process
	defer to.close()
	if _, err := Publish(t.Context(), s.options(good, nil)); err == nil || !strings.Contains(err.Error(), "another process publishes") {
		t.Errorf("%v", err)
	}
}
