package core

import _ "unsafe" // for go:linkname

// getAuxv is what the kernel has told this process at its start, in pairs of a key and a value: see getauxval(3).
// golang.org/x/sys/unix.Auxv is the same. /proc/self/auxv can't be read by a program with capabilities.
//
//go:linkname getAuxv runtime.getAuxv
func getAuxv() []uintptr

// atSecure is AT_SECURE: the program was executed with more rights than its caller has (getauxval(3)).
const atSecure = 23

// hasMoreRights reports whether this process has more rights than its caller: by setuid, setgid or capabilities.
func hasMoreRights() bool {
	for aux := getAuxv(); len(aux) >= 2; aux = aux[2:] {
		if aux[0] == atSecure {
			return aux[1] != 0
		}
	}
	return hasOtherUser()
}
