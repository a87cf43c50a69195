package program

import (
	"bytes"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestMachine: what a file is built for, in Go's words.
func TestMachine(t *testing.T) {
	t.Parallel()
	self := must.Get(os.Executable())(t)
	if got := machine(self); got != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("this program is for %s", got)
	}
	elfFile := func(m elf.Machine, class elf.Class, data elf.Data, abi elf.OSABI) []byte {
		var b bytes.Buffer
		ident := [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(class), byte(data), 1, byte(abi)}
		order := binary.ByteOrder(binary.LittleEndian)
		if data == elf.ELFDATA2MSB {
			order = binary.BigEndian
		}
		var hdr any = elf.Header64{Ident: ident, Type: uint16(elf.ET_EXEC), Machine: uint16(m), Version: 1}
		if class == elf.ELFCLASS32 {
			hdr = elf.Header32{Ident: ident, Type: uint16(elf.ET_EXEC), Machine: uint16(m), Version: 1}
		}
		must.Do(t, binary.Write(&b, order, hdr))
		return b.Bytes()
	}
	machoFile := func(cpu macho.Cpu) []byte {
		var b bytes.Buffer
		hdr := macho.FileHeader{Magic: macho.Magic64, Cpu: cpu, Type: macho.TypeExec}
		must.Do(t, binary.Write(&b, binary.LittleEndian, hdr))
		return append(b.Bytes(), 0, 0, 0, 0)
	}
	peFile := func(m uint16) []byte {
		var b bytes.Buffer
		must.Do(t, binary.Write(&b, binary.LittleEndian, pe.FileHeader{Machine: m}))
		return append(b.Bytes(), make([]byte, 200)...)
	}
	const l64, l32, le, be = elf.ELFCLASS64, elf.ELFCLASS32, elf.ELFDATA2LSB, elf.ELFDATA2MSB
	for want, content := range map[string][]byte{
		"freebsd/amd64":    elfFile(elf.EM_X86_64, l64, le, elf.ELFOSABI_FREEBSD),
		"netbsd/386":       elfFile(elf.EM_386, l32, le, elf.ELFOSABI_NETBSD),
		"openbsd/arm64":    elfFile(elf.EM_AARCH64, l64, le, elf.ELFOSABI_OPENBSD),
		"freebsd/arm":      elfFile(elf.EM_ARM, l32, le, elf.ELFOSABI_FREEBSD),
		"freebsd/ppc64le":  elfFile(elf.EM_PPC64, l64, le, elf.ELFOSABI_FREEBSD),
		"freebsd/ppc64":    elfFile(elf.EM_PPC64, l64, be, elf.ELFOSABI_FREEBSD),
		"freebsd/riscv64":  elfFile(elf.EM_RISCV, l64, le, elf.ELFOSABI_FREEBSD),
		"freebsd/mips":     elfFile(elf.EM_MIPS, l32, be, elf.ELFOSABI_FREEBSD),
		"freebsd/mips64le": elfFile(elf.EM_MIPS, l64, le, elf.ELFOSABI_FREEBSD),
		"freebsd/s390x":    elfFile(elf.EM_S390, l64, be, elf.ELFOSABI_FREEBSD),
		"freebsd/loong64":  elfFile(elf.EM_LOONGARCH, l64, le, elf.ELFOSABI_FREEBSD),
		"freebsd/EM_AVR":   elfFile(elf.EM_AVR, l32, le, elf.ELFOSABI_FREEBSD),
		"darwin/arm64":     machoFile(macho.CpuArm64),
		"darwin/amd64":     machoFile(macho.CpuAmd64),
		"windows/amd64":    peFile(pe.IMAGE_FILE_MACHINE_AMD64),
		"":                 []byte("#!/bin/sh\n"),
	} {
		path := filepath.Join(t.TempDir(), "app")
		must.Do(t, os.WriteFile(path, content, 0o755))
		if got := machine(path); got != want {
			t.Errorf("machine = %q, want %q", got, want)
		}
	}
}
