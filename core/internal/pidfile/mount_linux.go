package pidfile

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// mountOf returns the number of the mount that the file or link at path is in; "" if it is not known. See mnt_id in
// proc_pid_fdinfo(5). A device number does not tell: a bind mount has that of its directory, and files on overlayfs
// can have others.
func mountOf(path string) string {
	s, err := fd.Find(fd.WorkingDir, path, syscall.O_NOFOLLOW)
	if err != nil {
		return ""
	}
	defer syscall.Close(s)
	b, _ := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(s))
	for line := range strings.Lines(string(b)) {
		if id, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			return strings.TrimSpace(id)
		}
	}
	return ""
}
