package spawn

import (
	"os"
	"strings"
)

// The kernel shows both as they were at the execve (proc_pid_environ(5), proc_pid_cmdline(5)). os.Setenv of Go and
// setenv of C make copies, and do not change them.
func kernelEnviron() ([]string, error) { return kernelStrings("/proc/self/environ") }
func kernelArgs() ([]string, error)    { return kernelStrings("/proc/self/cmdline") }

// kernelStrings reads strings that each end with a zero byte.
func kernelStrings(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00"), nil
}
