package fd

import "syscall"

// oPath is O_PATH, which package syscall lacks: see open(2). The number is the same on every architecture that Go has
// for Linux.
const oPath = 0x200000

// WorkingDir stands for the working directory in Find: see AT_FDCWD in openat(2).
const WorkingDir = -100

// Find returns a descriptor that stands for the file, and does not open it: nobody has to be allowed to read it, and a device
// notices nothing. A name that is not absolute is one in the directory dir. The flags are those of open(2).
func Find(dir int, name string, flags int) (int, error) {
	return syscall.Openat(dir, name, oPath|flags|syscall.O_CLOEXEC, 0)
}
