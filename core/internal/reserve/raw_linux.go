package reserve

import (
	"syscall"
	"unsafe"
)

// Reading without the scheduler: it does not hear of these system calls. A file of the kernel's keeps nobody waiting.

// raw makes a system call again if a signal has interrupted it. What an argument points to stays where it is meanwhile,
// if the argument is converted where raw is called.
//
//go:uintptrescapes
func raw(trap, a1, a2, a3, a4 uintptr) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(trap, a1, a2, a3, a4, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

const atCwd = -100 // AT_FDCWD

func openRaw(path string, flags int) (int, error) {
	p, err := syscall.BytePtrFromString(path)
	if err != nil {
		return 0, err
	}
	at := atCwd
	s, err := raw(syscall.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(p)), uintptr(flags|syscall.O_CLOEXEC), 0)
	if err != nil {
		return 0, wrapError("open", path, err)
	}
	return s, nil
}

// readAll passes what a system call reads from the file to take, until there is nothing more.
func readAll(path string, flags int, trap uintptr, take func([]byte)) error {
	s, err := openRaw(path, flags)
	if err != nil {
		return err
	}
	defer func() { _, _ = raw(syscall.SYS_CLOSE, uintptr(s), 0, 0, 0) }()
	buf := make([]byte, 16<<10)
	for {
		n, err := raw(trap, uintptr(s), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0)
		if err != nil {
			return wrapError("read", path, err)
		}
		if n == 0 {
			return nil
		}
		take(buf[:n])
	}
}

func readFile(path string) (b []byte, err error) {
	err = readAll(path, syscall.O_RDONLY, syscall.SYS_READ, func(part []byte) { b = append(b, part...) })
	return b, err
}

func readNames(dir string) (names []string, err error) {
	err = readAll(dir, syscall.O_RDONLY|syscall.O_DIRECTORY, syscall.SYS_GETDENTS64, func(part []byte) {
		_, _, names = syscall.ParseDirent(part, -1, names)
	})
	return names, err
}

func readLink(path string) (string, error) {
	p, err := syscall.BytePtrFromString(path)
	if err != nil {
		return "", err
	}
	at, buf := atCwd, make([]byte, 256)
	n, err := raw(syscall.SYS_READLINKAT, uintptr(at), uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	if err != nil {
		return "", wrapError("readlink", path, err)
	}
	return string(buf[:n]), nil
}
