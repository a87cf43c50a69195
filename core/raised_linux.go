package core

import (
	"errors"
	"syscall"
	_ "unsafe" // for go:linkname

	"github.com/gracex-go/gracex/core/internal/proc"
)

// getAuxv is what the kernel has told this process at its start, in pairs of a key and a value: see getauxval(3).
// golang.org/x/sys/unix.Auxv is the same. /proc/self/auxv can't be read by a program with capabilities.
//
//go:linkname getAuxv runtime.getAuxv
func getAuxv() []uintptr

// atSecure is AT_SECURE: the program was executed with more rights than its caller has (getauxval(3)).
const atSecure = 23

// hasMoreRights reports whether this process has more rights than its caller: by setuid, setgid or capabilities.
//
// AT_SECURE alone does not tell. SELinux and AppArmor have it set where a program is confined otherwise than its caller,
// as a service is that systemd starts. Such a program has no right of its own that its caller has not, and its variables
// are the service manager's.
//
// A caller can hide AT_SECURE from the runtime, which looks for the pairs behind the environment: the C library takes
// variables like TMPDIR out of that (ld.so(8), secure-execution mode), and leaves a gap at its end. So without the pairs
// the rights themselves are looked at, as the kernel does.
func hasMoreRights() bool {
	secure, known := isSecure()
	switch {
	case hasOtherUser():
		return true
	case !known:
		return proc.HasRightsOfFile()
	}
	return secure && givesCapabilities("/proc/self/exe")
}

// isSecure is what AT_SECURE says, if the pairs are there.
func isSecure() (secure, known bool) {
	for aux := getAuxv(); len(aux) >= 2; aux = aux[2:] {
		if aux[0] == atSecure {
			return aux[1] != 0, true
		}
	}
	return false, false
}

// givesCapabilities reports whether a file gives its program capabilities, or can't be asked: see capabilities(7).
func givesCapabilities(path string) bool {
	_, err := syscall.Getxattr(path, "security.capability", nil)
	return !errors.Is(err, syscall.ENODATA) && !errors.Is(err, syscall.EOPNOTSUPP)
}
