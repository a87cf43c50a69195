package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// envLaunch makes a process the launcher: its value is a launchPlan.
const envLaunch = "GRACEX_FAULTKIT_LAUNCH"

// launchPlan is what to do before a process becomes the program under test. What
// needs no privilege in the process itself would need some from outside.
type launchPlan struct {
	Program string `json:"program"`
	Mount   string `json:"mount,omitempty"` // a directory to mount a small file system on, in a mount namespace that the process has already
	Files   uint64 `json:"files,omitempty"` // the limit of descriptors; 0: as it is
}

// smallDisk is the size of the file system for Mount. It has room for a pid file.
const smallDisk = "size=16k"

// environ returns env for a process that is to be launched as planned.
func (p launchPlan) environ(env []string) ([]string, error) {
	b, err := json.Marshal(p)
	return append(env[:len(env):len(env)], envLaunch+"="+string(b)), err
}

// launch carries the plan out, in this very process. It returns only an error.
func launch(plan string) error {
	var p launchPlan
	if err := json.Unmarshal([]byte(plan), &p); err != nil {
		return fmt.Errorf("%s: %w", envLaunch, err)
	}
	if p.Mount != "" {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make the mounts private: %w", err)
		}
		if err := syscall.Mount("tmpfs", p.Mount, "tmpfs", 0, smallDisk); err != nil {
			return fmt.Errorf("mount on %s: %w", p.Mount, err)
		}
	}
	if p.Files > 0 {
		lim := syscall.Rlimit{Cur: p.Files, Max: p.Files}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
			return fmt.Errorf("lower the limit of descriptors to %d: %w", p.Files, err)
		}
	}
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, envLaunch+"=") {
			env = append(env, kv)
		}
	}
	return fmt.Errorf("exec %s: %w", p.Program, syscall.Exec(p.Program, os.Args, env))
}
