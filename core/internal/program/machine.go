package program

import (
	"bytes"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"io"
	"runtime"
	"slices"
	"strings"
)

// machine names what a program file was built for, in Go's words where Go has some:
// "linux/arm64". It returns "" for a file that is no program, such as a script.
func machine(path string) string {
	if f, err := elf.Open(path); err == nil {
		defer f.Close()
		return elfOS(f) + "/" + elfArch(f)
	}
	if f, err := macho.Open(path); err == nil {
		defer f.Close()
		return "darwin/" + machoArch(f.Cpu)
	}
	if f, err := macho.OpenFat(path); err == nil {
		defer f.Close()
		var archs []string
		for _, a := range f.Arches {
			archs = append(archs, machoArch(a.Cpu))
		}
		return "darwin/" + strings.Join(archs, "+")
	}
	if f, err := pe.Open(path); err == nil {
		defer f.Close()
		return "windows/" + peArch(f.Machine)
	}
	return ""
}

// elfOS names the system that an ELF file is for. Linux, and some others, do not say it.
func elfOS(f *elf.File) string {
	switch f.OSABI {
	case elf.ELFOSABI_FREEBSD:
		return "freebsd"
	case elf.ELFOSABI_NETBSD:
		return "netbsd"
	case elf.ELFOSABI_OPENBSD:
		return "openbsd"
	}
	switch runtime.GOOS {
	case "darwin", "freebsd", "windows":
		return "linux"
	}
	return runtime.GOOS
}

func elfArch(f *elf.File) string {
	little := f.Data == elf.ELFDATA2LSB
	wide := f.Class == elf.ELFCLASS64
	pick := func(cond bool, yes, no string) string {
		if cond {
			return yes
		}
		return no
	}
	switch f.Machine {
	case elf.EM_X86_64:
		return "amd64"
	case elf.EM_386:
		return "386"
	case elf.EM_AARCH64:
		return "arm64"
	case elf.EM_ARM:
		return "arm"
	case elf.EM_LOONGARCH:
		return "loong64"
	case elf.EM_MIPS:
		return "mips" + pick(wide, "64", "") + pick(little, "le", "")
	case elf.EM_PPC64:
		return "ppc64" + pick(little, "le", "")
	case elf.EM_RISCV:
		return "riscv" + pick(wide, "64", "32")
	case elf.EM_S390:
		return "s390x"
	}
	return f.Machine.String()
}

func machoArch(cpu macho.Cpu) string {
	switch cpu {
	case macho.CpuAmd64:
		return "amd64"
	case macho.CpuArm64:
		return "arm64"
	}
	return cpu.String()
}

func peArch(m uint16) string {
	switch m {
	case pe.IMAGE_FILE_MACHINE_AMD64:
		return "amd64"
	case pe.IMAGE_FILE_MACHINE_ARM64:
		return "arm64"
	case pe.IMAGE_FILE_MACHINE_I386:
		return "386"
	}
	return "an unknown processor"
}

// loader returns the loader that a dynamically linked ELF program names. If it is
// missing, the system says that the program is.
func loader(path string) string {
	f, err := elf.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	i := slices.IndexFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	if i < 0 {
		return ""
	}
	b, err := io.ReadAll(io.LimitReader(f.Progs[i].Open(), 4096)) // PATH_MAX
	if err != nil {
		return ""
	}
	name, _, _ := bytes.Cut(b, []byte{0})
	return string(name)
}
