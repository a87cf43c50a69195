package core

import (
	"debug/elf"
	"debug/macho"
	"fmt"
	"runtime"
)

// machine names the format and architecture of a program file, or "" if it is
// neither ELF nor Mach-O (a script, say).
func machine(path string) string {
	if f, err := elf.Open(path); err == nil {
		defer f.Close()
		return fmt.Sprintf("ELF for %v, this machine is %s/%s", f.Machine, runtime.GOOS, runtime.GOARCH)
	}
	if f, err := macho.Open(path); err == nil {
		defer f.Close()
		return fmt.Sprintf("Mach-O for %v, this machine is %s/%s", f.Cpu, runtime.GOOS, runtime.GOARCH)
	}
	return ""
}
