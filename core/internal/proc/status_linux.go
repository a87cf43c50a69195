package proc

import (
	"os"
	"strings"
)

// Status returns a field of proc_pid_status(5), "" if it can't be read. The process is "self" or a number, or has
// "/task/" and the number of a thread behind it. Package reserve reads the file by itself, because it must take no thread.
func Status(process, field string) string {
	b, _ := os.ReadFile("/proc/" + process + "/status")
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
