//go:build unix

package release

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"time"
)

// runAs has a command run as a user, with the user's groups, and end with all that it has started.
func runAs(cmd *exec.Cmd, name string) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if name == "" {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return fmt.Errorf("user %q: %w", name, err)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return err
	}
	if int(uid) == os.Geteuid() {
		return nil
	}
	groups, err := u.GroupIds()
	if err != nil {
		return err
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, g := range groups {
		n, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return err
		}
		c.Groups = append(c.Groups, uint32(n))
	}
	cmd.SysProcAttr.Credential = c
	return nil
}

// startWritten starts a program that was written just now. A process that was forked meanwhile, and has not yet
// executed its own program, holds it open for writing (golang/go#22315).
func startWritten(prepare func() (*exec.Cmd, error)) (*exec.Cmd, error) {
	for end := time.Now().Add(time.Second); ; time.Sleep(10 * time.Millisecond) {
		cmd, err := prepare()
		if err == nil {
			err = cmd.Start()
		}
		if !errors.Is(err, syscall.ETXTBSY) || time.Now().After(end) {
			return cmd, err
		}
	}
}
