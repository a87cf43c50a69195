package main

import (
	"cmp"
	"debug/buildinfo"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// machine says on what was measured.
func machine(limit int) string {
	return fmt.Sprintf("%s, %d processors, Linux %s, load average before %s, RLIMIT_NOFILE %d",
		cmp.Or(cpuModel(), runtime.GOARCH), runtime.NumCPU(), firstWord("/proc/sys/kernel/osrelease"), firstWord("/proc/loadavg"), limit)
}

// cpuModel is empty where /proc/cpuinfo has no line for it, as on arm64.
func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func firstWord(path string) string {
	b, _ := os.ReadFile(path)
	word, _, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	return word
}

// describe says what the server was built from.
func (b build) describe() (string, error) {
	info, err := buildinfo.ReadFile(b.path)
	if err != nil {
		return "", fmt.Errorf("%s is no program of Go: %w", b.path, err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	text := b.name + ": " + info.GoVersion
	if commit := settings["vcs.revision"]; commit != "" {
		text += ", commit " + commit[:min(len(commit), 12)]
	}
	if settings["vcs.modified"] == "true" {
		text += " with changes"
	}
	return text, nil
}

// raiseLimit allows this process, and those that it starts, as many descriptors as it may and needs.
func raiseLimit(need int) (int, error) {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return 0, fmt.Errorf("getrlimit: %w", err)
	}
	more := syscall.Rlimit{Cur: max(lim.Max, uint64(need)), Max: max(lim.Max, uint64(need))}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &more) == nil { // above the hard limit only root may
		return int(more.Cur), nil
	}
	lim.Cur = lim.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return 0, fmt.Errorf("setrlimit: %w", err)
	}
	return int(lim.Cur), nil
}
