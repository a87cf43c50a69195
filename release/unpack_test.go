//go:build linux

package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/gracex-go/gracex/internal/must"
)

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := must.Get(gzip.NewWriterLevel(&out, gzip.BestSpeed))(t)
	must.Get(w.Write(b))(t)
	must.Do(t, w.Close())
	return out.Bytes()
}

func zstandard(t testing.TB, b []byte) []byte {
	t.Helper()
	return must.Get(zstd.NewWriter(nil))(t).EncodeAll(b, nil)
}

// entry is a file in an archive: a regular one if kind is 0.
type entry struct {
	name, link string
	mode       int64
	kind       byte
	body       []byte
	pax        map[string]string
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		if e.kind == 0 {
			e.kind = tar.TypeReg
		}
		must.Do(t, w.WriteHeader(&tar.Header{Typeflag: e.kind, Name: e.name, Linkname: e.link, Mode: e.mode, Size: int64(len(e.body)), PAXRecords: e.pax}))
		must.Get(w.Write(e.body))(t)
	}
	must.Do(t, w.Close())
	return out.Bytes()
}

// packedAs returns a source with a packed release.
func packedAs(t testing.TB, name string, b []byte, unpacked *Content) *shelf {
	t.Helper()
	s := &shelf{files: map[string][]byte{name: b}}
	s.publish(t, Manifest{Name: "shop", Version: "1.5.0", Serial: 42, Files: []File{{
		OS: runtime.GOOS, Arch: runtime.GOARCH, File: name, Size: int64(len(b)), SHA256: sum(b), Unpacked: unpacked,
	}}})
	return s
}

func TestUnpack_Tricks(t *testing.T) {
	const limit = 1000
	program := entry{name: "shop", mode: 0o755, body: []byte("program")}
	big := make([]byte, limit+1)
	for name, c := range map[string]struct {
		file string
		in   []byte
		says string // empty: unpacked
	}{
		"a good one":         {"a.tar.gz", gzipped(t, archive(t, entry{name: "x/", kind: tar.TypeDir, mode: 0o755}, program)), ""},
		"of git archive":     {"a.tar.gz", gzipped(t, archive(t, entry{kind: tar.TypeXGlobalHeader, pax: map[string]string{"comment": "1"}}, program)), ""},
		"a symlink":          {"a.tar.gz", gzipped(t, archive(t, entry{name: "shop", link: "/etc/passwd", kind: tar.TypeSymlink}, program)), "is a link to \"/etc/passwd\""},
		"a link behind it":   {"a.tar.gz", gzipped(t, archive(t, program, entry{name: "x", link: "/etc", kind: tar.TypeSymlink})), "is a link"},
		"a hard link":        {"a.tar.gz", gzipped(t, archive(t, entry{name: "shop", link: "/etc/shadow", kind: tar.TypeLink})), "is a link"},
		"a device":           {"a.tar.gz", gzipped(t, archive(t, entry{name: "shop", kind: tar.TypeBlock})), "neither a file"},
		"a fifo":             {"a.tar.gz", gzipped(t, archive(t, entry{name: "shop", kind: tar.TypeFifo})), "neither a file"},
		"..":                 {"a.tar.gz", gzipped(t, archive(t, entry{name: "../shop", mode: 0o755})), "leads out"},
		"x/../..":            {"a.tar.gz", gzipped(t, archive(t, entry{name: "x/../../shop", mode: 0o755})), "leads out"},
		".. behind it":       {"a.tar.gz", gzipped(t, archive(t, program, entry{name: "../x"})), "leads out"},
		"absolute":           {"a.tar.gz", gzipped(t, archive(t, entry{name: "/usr/bin/shop", mode: 0o755})), "leads out"},
		"a control sign":     {"a.tar.gz", gzipped(t, archive(t, program, entry{name: "x\x1b[2J"})), "control characters"},
		"two programs":       {"a.tar.gz", gzipped(t, archive(t, program, entry{name: "bin/shop", mode: 0o755})), "two programs"},
		"none":               {"a.tar.gz", gzipped(t, archive(t, entry{name: "README"}, entry{name: "shopper", mode: 0o755})), "no executable file"},
		"one that can't run": {"a.tar.gz", gzipped(t, archive(t, entry{name: "shop", mode: 0o644})), "no executable file"},
		"setuid":             {"a.tar.gz", gzipped(t, archive(t, entry{name: "shop", mode: 0o4755})), "setuid"},
		"sparse":             {"a.tar.gz", sparse(t, "gnu"), "sparse"},
		"sparse, by PAX":     {"a.tar.gz", sparse(t, "pax"), "sparse"},
		"too large":          {"a.tar.gz", gzipped(t, archive(t, entry{name: "shop", mode: 0o755, body: big})), "1001 bytes"},
		"a bomb":             {"a.gz", gzipped(t, make([]byte, 10<<20)), "more than 1000 bytes"},
		"a zstd bomb":        {"a.zst", zstandard(t, make([]byte, 10<<20)), "more than 1000 bytes"},
		"a bomb beside it":   {"a.tar.zst", zstandard(t, archive(t, entry{name: "x", body: make([]byte, maxBeside+limit)}, program)), "unpacked it has more than"},
		"many files":         {"a.tar.gz", gzipped(t, archive(t, append(make([]entry, maxEntries), program)...)), "files are in it"},
		"cut":                {"a.tar.gz", gzipped(t, archive(t, program))[:40], "unexpected EOF"},
		"no gzip":            {"a.gz", []byte("<html> 404 not found"), "gzip"},
		"no zstd":            {"a.zst", []byte("<html>"), "magic"},
		"no tar":             {"a.tar.gz", gzipped(t, bytes.Repeat([]byte("x"), 2000)), "tar"},
		"trailing":           {"a.gz", append(gzipped(t, []byte("x")), "more"...), "EOF"},
	} {
		var out bytes.Buffer
		err := unpack(bytes.NewReader(c.in), c.file, "shop", &out, limit)
		if c.says != "" {
			wants(t, err, ErrNotAccepted, c.says)
		} else if err != nil || out.String() != "program" {
			t.Errorf("%s: %q %v", name, out.String(), err)
		}
		if out.Len() > limit+1 {
			t.Errorf("%s: %d bytes were written", name, out.Len())
		}
	}
	if err := unpack(bytes.NewReader(gzipped(t, []byte("x"))), "a.gz", "shop", fullDisk{}, limit); err == nil || errors.Is(err, ErrNotAccepted) {
		t.Errorf("a full disk is %v", err)
	}
}

// sparse is an archive with a file that has a hole, as GNU tar makes it.
func sparse(t testing.TB, format string) []byte {
	t.Helper()
	dir := t.TempDir()
	f := must.Get(os.OpenFile(dir+"/shop", os.O_CREATE|os.O_WRONLY, 0o755))(t)
	must.Get(f.WriteAt([]byte("x"), 1<<20))(t)
	must.Do(t, f.Close())
	out := must.Get(exec.Command("tar", "-C", dir, "--sparse", "--format="+format, "-cz", "shop").Output())(t)
	return out
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func FuzzUnpack(f *testing.F) {
	f.Add(gzipped(f, archive(f, entry{name: "shop", mode: 0o755, body: []byte("x")})), byte(0))
	f.Add(zstandard(f, []byte("x")), byte(1))
	f.Fuzz(func(_ *testing.T, in []byte, how byte) {
		name := packings[int(how)%len(packings)].suffix
		var out bytes.Buffer
		_ = unpack(bytes.NewReader(in), "a"+name, "shop", &out, 1<<16)
		if out.Len() > 1<<16+1 {
			panic("too much was written")
		}
	})
}

// TestInspect_Libc: a C program needs the library's version of its build, and a host can have an older one.
func TestInspect_Libc(t *testing.T) {
	e, err := elf.Open("/bin/ls")
	must.Do(t, err)
	defer e.Close()
	host := libcOf(e, loaderOf(e))
	if host == "" {
		t.Skip("/bin/ls is not linked to glibc")
	}
	must.Do(t, checkLibc(e, host))
	if err := checkLibc(e, "2.2"); err == nil {
		t.Error("a library of 2000 will do")
	}
	for _, c := range []struct {
		a, b  string
		later bool
	}{{"2.10", "2.9", true}, {"2.9", "2.10", false}, {"2.2.5", "2.2", true}, {"2.36", "2.36", false}, {"2.0", "", true}} {
		if laterThan(c.a, c.b) != c.later {
			t.Errorf("%s > %s is %v", c.a, c.b, !c.later)
		}
	}
}

// TestInspect_AnyBytes: what is no whole program is refused, and ends nothing.
func TestInspect_AnyBytes(t *testing.T) {
	good := shop(t, "good", 1)
	path := t.TempDir() + "/shop"
	for i := range 200 {
		b := bytes.Clone(good[:min(len(good), 1<<16)])
		for j := range 8 {
			b[(i*37+j*101)%512] ^= byte(i + j*13)
		}
		must.Do(t, os.WriteFile(path, b, 0o600))
		_, _ = inspect(path, "", false)
	}
}
