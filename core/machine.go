package core

import (
	"bufio"
	"bytes"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
)

// machine names what a program file was built for, in Go's words where Go has some:
// "linux/arm64". It is "" for what is no program (a script, say).
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

// elfOS: Linux, and some others, do not say who they are.
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

// loader returns what a dynamically linked ELF program names as its loader: if that
// is missing the system says that the program is.
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

// interpreter returns the program that a script's first line names, or "" if the file
// is no script.
func interpreter(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	r := bufio.NewReader(io.LimitReader(f, 4096))
	if b, err := r.Peek(2); err != nil || string(b) != "#!" {
		return ""
	}
	line, _ := r.ReadString('\n')
	// Not TrimSpace: a line that ends as on Windows names a file that does not exist.
	line = strings.Trim(line[2:], " \t\n")
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		line = line[:i]
	}
	return line
}
