package publish

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/release"
)

const gracexLine = "dep\tgithub.com/gracex-go/gracex\tv0.1.0\t\n"

// buildInfo is what the linker of Go leaves in a program, by package debug/buildinfo.
func buildInfo(goos, arch, deps string) []byte {
	marker := strings.Repeat("i", 16)
	text := marker + "path\texample.org/shop\nmod\texample.org/shop\tv1.5.0\t\n" + deps + "build\tGOARCH=" + arch + "\nbuild\tGOOS=" + goos + "\n" + marker
	b := append([]byte("\xff Go buildinf:\x00\x02"), make([]byte, 16)...)
	for _, s := range []string{"go1.26.8", text} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b
}

// program makes a file that is nothing but a header and build information. extra makes it another one.
func programFor(t testing.TB, goos, arch, deps, extra string) []byte {
	t.Helper()
	info := append(buildInfo(goos, arch, deps), extra...)
	var b bytes.Buffer
	put := func(v any) { must.Do(t, binary.Write(&b, binary.LittleEndian, v)) }
	size := uint32(len(info))
	switch goos {
	case "darwin":
		cpu := map[string]macho.Cpu{"amd64": macho.CpuAmd64, "arm64": macho.CpuArm64}[arch]
		const cmd, at = 72 + 80, 32 + 72 + 80
		put(macho.FileHeader{Magic: macho.Magic64, Cpu: cpu, Type: macho.TypeExec, Ncmd: 1, Cmdsz: cmd})
		put(uint32(0))
		put(macho.Segment64{Cmd: macho.LoadCmdSegment64, Len: cmd, Addr: 0x1000, Memsz: uint64(size), Offset: at, Filesz: uint64(size), Maxprot: 3, Prot: 3, Nsect: 1})
		section := macho.Section64{Addr: 0x1000, Size: uint64(size), Offset: at}
		copy(section.Name[:], "__go_buildinfo") // by which Go 1.27 finds it
		copy(section.Seg[:], "__DATA")
		put(section)
	case "windows":
		dos := make([]byte, 96)
		copy(dos, "MZ")
		dos[0x3c] = 96
		b.Write(dos)
		b.WriteString("PE\x00\x00")
		put(pe.FileHeader{Machine: pe.IMAGE_FILE_MACHINE_AMD64, NumberOfSections: 1})
		put(pe.SectionHeader32{VirtualAddress: 0x1000, VirtualSize: size, SizeOfRawData: size, PointerToRawData: 160, Characteristics: 0xc0000040})
	default:
		machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "riscv64": elf.EM_RISCV}[arch]
		const at, names = 120, "\x00.go.buildinfo\x00.shstrtab\x00" // the section by which Go 1.27 finds it
		h := elf.Header64{
			Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
			Shoff: at + uint64(size) + uint64(len(names)), Shentsize: 64, Shnum: 3, Shstrndx: 2,
		}
		copy(h.Ident[:], elf.ELFMAG)
		h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1
		if goos == "freebsd" {
			h.Ident[elf.EI_OSABI] = byte(elf.ELFOSABI_FREEBSD)
		}
		put(h)
		put(elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: at, Vaddr: 0x1000, Filesz: uint64(size), Memsz: uint64(size)})
		b.Write(info)
		b.WriteString(names)
		put([]elf.Section64{
			{},
			{Name: 1, Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC), Addr: 0x1000, Off: at, Size: uint64(size)},
			{Name: 15, Type: uint32(elf.SHT_STRTAB), Off: at + uint64(size), Size: uint64(len(names))},
		})
		return b.Bytes()
	}
	b.Write(info)
	return b.Bytes()
}

// shop is a right program.
func shop(t testing.TB, system, extra string) []byte {
	t.Helper()
	goos, arch, _ := strings.Cut(system, "/")
	return programFor(t, goos, arch, gracexLine, extra)
}

// entry is a file of an archive.
type entry struct {
	name string
	body []byte
	mode int64
	kind byte
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.body)), Typeflag: e.kind}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if e.kind == tar.TypeSymlink {
			h.Linkname, h.Size, e.body = string(e.body), 0, nil
		}
		must.Do(t, w.WriteHeader(h))
		must.Get(w.Write(e.body))(t)
	}
	must.Do(t, w.Close())
	return b.Bytes()
}

func gz(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	must.Get(w.Write(b))(t)
	must.Do(t, w.Close())
	return out.Bytes()
}

func zst(t testing.TB, b []byte) []byte {
	t.Helper()
	w := must.Get(zstd.NewWriter(nil))(t)
	defer w.Close()
	return w.EncodeAll(b, nil)
}

// archive is a .tar.gz as goreleaser makes it.
func archive(t testing.TB, program []byte) []byte {
	t.Helper()
	return gz(t, tarOf(t, entry{name: "LICENSE", body: []byte("MIT"), mode: 0o644}, entry{name: "shop", body: program, mode: 0o755}))
}

// put writes files to a directory, and returns it.
func put(t testing.TB, dir string, files map[string][]byte) string {
	t.Helper()
	for name, b := range files {
		path := filepath.Join(dir, name)
		must.Do(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must.Do(t, os.WriteFile(path, b, 0o755))
	}
	return dir
}

func TestInspect(t *testing.T) {
	t.Parallel()
	self := must.Get(os.Open(must.Get(os.Executable())(t)))(t) // a real one, with gracex in it
	defer self.Close()
	p, err := inspect(self)
	if err != nil || !strings.HasPrefix(p.module, "github.com/gracex-go/gracex") {
		t.Errorf("this program: %+v, %v", p, err)
	}
	for _, system := range []string{"linux/amd64", "linux/arm64", "linux/riscv64", "freebsd/amd64", "darwin/arm64", "darwin/amd64", "windows/amd64"} {
		p, err := inspect(bytes.NewReader(shop(t, system, "")))
		if err != nil || p.system() != system || p.module != "example.org/shop" || p.golang != "go1.26.8" {
			t.Errorf("%s: %+v, %v", system, p, err)
		}
	}
	lies := bytes.ReplaceAll(shop(t, "linux/amd64", ""), []byte("GOARCH=amd64"), []byte("GOARCH=arm64"))
	other := bytes.ReplaceAll(shop(t, "linux/amd64", ""), []byte("GOOS=linux"), []byte("GOOS=plan9"))
	for want, b := range map[string][]byte{
		"it is no program":        []byte("#!/bin/sh\n"),
		"it is no Go program":     bytes.ReplaceAll(shop(t, "linux/amd64", ""), []byte("Go buildinf:"), []byte("go buildinf:")),
		"does not contain gracex": programFor(t, "linux", "amd64", "dep\tgithub.com/gracex-go/gracexy\tv0.1.0\t\n", ""),
		"that it is for linux/arm64, and its header says linux/amd64": lies,
		"that it is for plan9/amd64":                                  other,
	} {
		if p, err := inspect(bytes.NewReader(b)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v, %v; want %q", p, err, want)
		}
	}
}

// FuzzInspect: no file ends the process.
func FuzzInspect(f *testing.F) {
	for _, system := range []string{"linux/amd64", "darwin/arm64", "windows/amd64"} {
		f.Add(shop(f, system, ""))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := inspect(bytes.NewReader(b)); err == nil && (p.os == "" || p.arch == "") {
			t.Errorf("%+v", p)
		}
	})
}

// gorel makes the output folder of goreleaser. A file's name is its path in the project; more is put into its entry of
// artifacts.json.
func gorel(t testing.TB, version string, files map[string][]byte, artifacts ...string) string {
	t.Helper()
	dir := put(t, t.TempDir(), files)
	put(t, dir, map[string][]byte{
		"dist/metadata.json":  []byte(`{"project_name":"shop","tag":"v` + version + `","version":"` + version + `","date":"2026-11-30T00:00:00Z","runtime":{"goos":"linux","goarch":"amd64"}}`),
		"dist/artifacts.json": []byte("[" + strings.Join(artifacts, ",") + "]"),
	})
	return filepath.Join(dir, "dist")
}

// made is an entry of artifacts.json.
func made(kind, path, goos, arch, extra string) string {
	return fmt.Sprintf(`{"name":%q,"path":%q,"goos":%q,"goarch":%q,"internal_type":1,"type":%q,"extra":{%s}}`, filepath.Base(path), path, goos, arch, kind, extra)
}

func systems(m release.Manifest) (s []string) {
	for _, f := range m.Files {
		s = append(s, f.OS+"/"+f.Arch+" "+f.File)
	}
	return s
}
