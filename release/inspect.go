package release

import (
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// gracexModule is what a program has to contain.
const gracexModule = "github.com/gracex-go/gracex"

// inspect looks at a program without running it, and returns what Go has built. like is the path of what runs; empty if
// nothing is known to run. The size and the hash are compared before. An error is one for a person, to be wrapped.
func inspect(path, like string, otherProgram bool) (info *debug.BuildInfo, err error) {
	defer func() {
		if r := recover(); r != nil { // the parsers are not made for files that mean harm
			err = fmt.Errorf("it can't be read: %v", r)
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if runtime.GOOS != "darwin" {
		if err := inspectELF(f); err != nil {
			return nil, err
		}
	}
	if info, err = buildinfo.Read(f); err != nil {
		return nil, errors.New("it is no Go program, or one without build information")
	}
	if goos, arch := setting(info, "GOOS"), setting(info, "GOARCH"); goos != "" && (goos != runtime.GOOS || arch != runtime.GOARCH) {
		return nil, fmt.Errorf("it is for %s/%s, and this machine is %s/%s", goos, arch, runtime.GOOS, runtime.GOARCH)
	}
	if !containsGracex(info) {
		return nil, fmt.Errorf("it does not contain %s: an upgrade to it would end the service", gracexModule)
	}
	if like == "" || otherProgram {
		return info, nil
	}
	if old, err := buildinfo.ReadFile(like); err == nil && old.Main.Path != info.Main.Path {
		return nil, fmt.Errorf("it is the program %s, and what runs is %s", info.Main.Path, old.Main.Path)
	}
	return info, nil
}

func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

func containsGracex(info *debug.BuildInfo) bool {
	is := func(path string) bool { return path == gracexModule || strings.HasPrefix(path, gracexModule+"/") }
	for _, d := range info.Deps {
		if is(d.Path) {
			return true
		}
	}
	return is(info.Main.Path)
}

// machines are the processors of ELF, by GOARCH.
var machines = map[string]elf.Machine{
	"386": elf.EM_386, "amd64": elf.EM_X86_64, "arm": elf.EM_ARM, "arm64": elf.EM_AARCH64, "loong64": elf.EM_LOONGARCH,
	"mips": elf.EM_MIPS, "mipsle": elf.EM_MIPS, "mips64": elf.EM_MIPS, "mips64le": elf.EM_MIPS, "ppc64": elf.EM_PPC64,
	"ppc64le": elf.EM_PPC64, "riscv64": elf.EM_RISCV, "s390x": elf.EM_S390,
}

func inspectELF(f *os.File) error {
	e, err := elf.NewFile(f)
	if err != nil {
		return fmt.Errorf("it is no program of this system: %w", err)
	}
	class := elf.ELFCLASS32
	if strconv.IntSize == 64 {
		class = elf.ELFCLASS64
	}
	if want, known := machines[runtime.GOARCH]; known && e.Machine != want || e.Class != class {
		return fmt.Errorf("it is for %v %v, and this machine is %v %v", e.Machine, e.Class, want, class)
	}
	if e.Type != elf.ET_EXEC && e.Type != elf.ET_DYN {
		return fmt.Errorf("it is no program but %v", e.Type)
	}
	loader := loaderOf(e)
	if loader == "" {
		return nil
	}
	if fi, err := os.Stat(loader); err != nil || !fi.Mode().IsRegular() {
		return fmt.Errorf("its loader %s is not on this machine: it was built for another C library; build it with CGO_ENABLED=0", loader)
	}
	return checkLibc(e, libcOf(e, loader))
}

// loaderOf returns the program interpreter, ld.so(8); empty for a static program.
func loaderOf(e *elf.File) string {
	for _, p := range e.Progs {
		if p.Type == elf.PT_INTERP {
			b, _ := io.ReadAll(io.LimitReader(p.Open(), 4096)) // PATH_MAX
			return strings.TrimRight(string(b), "\x00")
		}
	}
	return ""
}

// checkLibc compares the versions of glibc's interface that the program needs with the host's newest one. An unknown
// one, where the library is elsewhere, is no reason to refuse: the upgrade would fail, and change nothing.
func checkLibc(e *elf.File, host string) error {
	needs, err := e.DynamicVersionNeeds()
	if err != nil || host == "" {
		return nil //nolint:nilerr // a program without versions needs none
	}
	for _, lib := range needs {
		for _, need := range lib.Needs {
			if v, ok := strings.CutPrefix(need.Dep, "GLIBC_"); ok && laterThan(v, host) {
				return fmt.Errorf("it needs glibc %s, and this machine has %s: build it with CGO_ENABLED=0, or on an older system", v, host)
			}
		}
	}
	return nil
}

// libcOf returns the newest version of glibc's interface on this machine; empty if it is not known.
func libcOf(e *elf.File, loader string) (newest string) {
	dirs := []string{"/lib64", "/usr/lib64", "/lib", "/usr/lib"}
	if path, err := filepath.EvalSymlinks(loader); err == nil {
		dirs = append([]string{filepath.Dir(path)}, dirs...)
	}
	for _, dir := range dirs {
		libc, err := elf.Open(filepath.Join(dir, "libc.so.6"))
		if err != nil {
			continue
		}
		versions, _ := libc.DynamicVersions()
		same := libc.Machine == e.Machine && libc.Class == e.Class
		libc.Close()
		for _, v := range versions {
			if n, ok := strings.CutPrefix(v.Name, "GLIBC_"); ok && same && n[0] <= '9' && laterThan(n, newest) {
				newest = n
			}
		}
		if newest != "" {
			return newest
		}
	}
	return ""
}

// laterThan compares versions such as 2.36. What is no number counts as 0.
func laterThan(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		var x, y int
		if i < len(as) {
			x, _ = strconv.Atoi(as[i])
		}
		if i < len(bs) {
			y, _ = strconv.Atoi(bs[i])
		}
		if x != y {
			return x > y
		}
	}
	return false
}
