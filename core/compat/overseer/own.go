package overseer

import (
	"crypto/sha1" //nolint:gosec // what overseer's State.ID is, and nothing is trusted by it
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
)

// file is a program that is known by its content.
type file struct {
	os.FileInfo
	sha1, sha256 string // in hexadecimal digits
}

// ownFile is the program that this process runs, also if another one lies at its path by now.
var ownFile = sync.OnceValues(func() (file, error) {
	path := "/proc/self/exe"
	if runtime.GOOS != "linux" {
		var err error
		if path, err = os.Executable(); err != nil {
			return file{}, err
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return file{}, err
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return file{}, err
	}
	old, sum := sha1.New(), sha256.New() //nolint:gosec // see above
	if _, err := io.Copy(io.MultiWriter(old, sum), f); err != nil {
		return file{}, err
	}
	return file{fi, hex.EncodeToString(old.Sum(nil)), hex.EncodeToString(sum.Sum(nil))}, nil
})

// underMaster reports whether overseer's own master has started this process. Core has taken its variables out of the
// environment by now, but not out of what the kernel shows (proc_pid_environ(5)).
func underMaster() bool {
	b, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		return false
	}
	for v := range strings.SplitSeq(string(b), "\x00") {
		if v == "OVERSEER_IS_SLAVE=1" || v == "OVERSEER_IS_WORKER=1" {
			return true
		}
	}
	return false
}
