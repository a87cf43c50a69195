package publish

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/gracex-go/gracex/release"
)

// program is what a program says about itself.
type program struct {
	os, arch string // as GOOS and GOARCH
	module   string
	golang   string // version of Go
}

func (p program) system() string { return p.os + "/" + p.arch }

// inspect looks at a program for any system without running it.
func inspect(r io.ReaderAt) (p program, err error) {
	defer func() {
		if r := recover(); r != nil { // the parsers are not made for damaged files
			err = fmt.Errorf("it can't be read: %v", r)
		}
	}()
	systems, arch, err := header(r)
	if err != nil {
		return p, err
	}
	info, err := buildinfo.Read(r)
	if err != nil {
		return p, errors.New("it is no Go program, or its build information is hidden (by upx, for example)")
	}
	p = program{os: systems[0], arch: arch, module: info.Main.Path, golang: info.GoVersion}
	for _, s := range info.Settings {
		switch s.Key {
		case "GOOS":
			p.os = s.Value
		case "GOARCH":
			p.arch = s.Value
		}
	}
	switch {
	case !slices.Contains(systems, p.os) || arch != "" && p.arch != arch:
		return p, fmt.Errorf("it says that it is for %s, and its header says %s/%s", p.system(), systems[0], arch)
	case p.arch == "":
		return p, errors.New("its processor is not known")
	case !release.ContainsGracex(info):
		return p, fmt.Errorf("%s does not contain gracex: an upgrade to it would end the service", p.module)
	}
	return p, nil
}

// How files of programs begin: ELF, Mach-O (64 and 32 bits, in both byte orders, and for several processors), PE.
var magics = []string{"\x7fELF", "\xcf\xfa\xed\xfe", "\xce\xfa\xed\xfe", "\xfe\xed\xfa\xcf", "\xfe\xed\xfa\xce", "\xca\xfe\xba\xbe", "MZ"}

// isProgram reports whether a file begins as a program does.
func isProgram(r io.ReaderAt) bool {
	b := make([]byte, 4)
	n, _ := r.ReadAt(b, 0)
	return slices.ContainsFunc(magics, func(m string) bool { return bytes.HasPrefix(b[:n], []byte(m)) })
}

// header returns the systems and the processor that a file's header allows. The processor is empty if it is not known
// here.
func header(r io.ReaderAt) (systems []string, arch string, err error) {
	if e, err := elf.NewFile(r); err == nil {
		if e.Type != elf.ET_EXEC && e.Type != elf.ET_DYN {
			return nil, "", fmt.Errorf("it is no program but %v", e.Type)
		}
		return elfSystems(e.OSABI), elfArch(e), nil
	}
	if m, err := macho.NewFile(r); err == nil {
		if m.Type != macho.TypeExec {
			return nil, "", fmt.Errorf("it is no program but %v", m.Type)
		}
		return []string{"darwin", "ios"}, map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}[m.Cpu], nil
	}
	if _, err := macho.NewFatFile(r); err == nil {
		return nil, "", errors.New("it is for several processors at once, and a release has one file for each")
	}
	if p, err := pe.NewFile(r); err == nil {
		arch := map[uint16]string{pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_ARM64: "arm64", pe.IMAGE_FILE_MACHINE_I386: "386"}
		return []string{"windows"}, arch[p.Machine], nil
	}
	return nil, "", errors.New("it is no program (ELF, Mach-O or PE)")
}

// elfSystems are those whose programs have this mark, by cmd/link. Linux and others have none.
func elfSystems(abi elf.OSABI) []string {
	switch abi {
	case elf.ELFOSABI_FREEBSD:
		return []string{"freebsd"}
	case elf.ELFOSABI_NETBSD:
		return []string{"netbsd"}
	case elf.ELFOSABI_OPENBSD:
		return []string{"openbsd"}
	}
	return []string{"linux", "android", "dragonfly", "illumos", "solaris"}
}

func elfArch(e *elf.File) string {
	suffix := ""
	if e.Class == elf.ELFCLASS64 {
		suffix = "64"
	}
	little := ""
	if e.Data == elf.ELFDATA2LSB {
		little = "le"
	}
	switch e.Machine {
	case elf.EM_386:
		return "386"
	case elf.EM_X86_64:
		return "amd64"
	case elf.EM_ARM:
		return "arm"
	case elf.EM_AARCH64:
		return "arm64"
	case elf.EM_RISCV:
		return "riscv" + suffix
	case elf.EM_LOONGARCH:
		return "loong" + suffix
	case elf.EM_S390:
		return "s390x"
	case elf.EM_PPC64:
		return "ppc64" + little
	case elf.EM_MIPS:
		return "mips" + suffix + little
	}
	return ""
}
