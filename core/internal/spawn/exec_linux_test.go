package spawn

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/internal/owner"
	"github.com/gracex-go/gracex/internal/must"
)

// copied copies a program. It is another process that does: if another test forks while a file is written, it can't be
// executed (golang/go#22315).
func copied(t *testing.T, name string) (path string) {
	t.Helper()
	dir := must.Get(filepath.EvalSymlinks(t.TempDir()))(t)
	must.Do(t, os.Chmod(dir, 0o755))
	path = filepath.Join(dir, "app")
	must.Do(t, exec.Command("cp", must.Get(exec.LookPath(name))(t), path).Run())
	return path
}

// output is what the program at path writes to descriptor 3 when it is started with so many descriptors.
func output(t *testing.T, path string, l Launch, descriptors int, argv ...string) (string, error) {
	t.Helper()
	r, w, err := os.Pipe()
	must.Do(t, err)
	defer r.Close()
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}}
	for len(attr.Files) < descriptors {
		attr.Files = append(attr.Files, w.Fd())
	}
	pid, err := Exec(path, l, argv, attr)
	w.Close()
	if err != nil {
		return "", err
	}
	b := must.Get(io.ReadAll(r))(t)
	var ws syscall.WaitStatus
	_ = must.Get(syscall.Wait4(pid, &ws, 0, nil))(t)
	return string(b), nil
}

// TestExec_OfACheckedProgram executes the file that was looked at, also where the new process gets more descriptors
// than the number of its own has. The new process does not have that one.
func TestExec_OfACheckedProgram(t *testing.T) {
	t.Parallel()
	path := copied(t, "sh")
	for _, descriptors := range []int{4, 60} {
		got, err := output(t, path, Launch{Trusted: true}, descriptors, "sh", "-c", `readlink /proc/$$/exe /proc/$$/fd/* >&3`)
		if err != nil {
			t.Fatalf("%d descriptors: %v", descriptors, err)
		}
		if exe, files, _ := strings.Cut(got, "\n"); exe != path || strings.Contains(files, path) || !strings.Contains(files, "pipe:") {
			t.Errorf("%d descriptors: %q", descriptors, got)
		}
	}
}

// TestExec_OfAScript executes it by its path, which it has as $0, and looks at it before.
func TestExec_OfAScript(t *testing.T) {
	t.Parallel()
	dir := filepath.Dir(copied(t, "true"))
	path := filepath.Join(dir, "run.sh")
	must.Do(t, exec.Command("sh", "-c", `printf '#!/bin/sh\necho "$0" >&3\n' >"$0" && chmod 755 "$0"`, path).Run())
	got, err := output(t, path, Launch{Trusted: true}, 4, "run")
	if err != nil || strings.TrimSpace(got) != path {
		t.Errorf("%q, %v", got, err)
	}
	must.Do(t, os.Chmod(path, 0o775))
	refused := new(owner.Error)
	if _, err := output(t, path, Launch{Trusted: true}, 4, "run"); !errors.As(err, &refused) || !IsRefusal(err) {
		t.Errorf("%v", err)
	}
}

// TestGivesRights: what has more rights than its caller starts only what gets them from its own file.
// The test program has none, so that it asks for none; ownFile stands for one that has.
func TestGivesRights(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a file rights")
	}
	was := ownFile
	defer func() { ownFile = was }()
	const setuid, setgid = 0o755 | os.ModeSetuid, 0o755 | os.ModeSetgid
	raised := func(mode os.FileMode, uid, gid int, capability string) string {
		path := copied(t, "true")
		must.Do(t, os.Chown(path, uid, gid))
		must.Do(t, os.Chmod(path, mode))
		if capability != "" {
			must.Do(t, syscall.Setxattr(path, capabilities, []byte(capability), 0))
		}
		return path
	}
	const set = "\x00\x04" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"               // cap_net_bind_service=ep
	const bind, inNamespace = "\x01\x00\x00\x02" + set, "\x01\x00\x00\x03" + set + "\xe8\x03\x00\x00" // there user 1000 is root
	own := map[string]string{
		"plain": raised(0o755, 0, 0, ""), "setuid": raised(setuid, 0, 0, ""), "setgid": raised(setgid, 0, 3, ""),
		"capabilities": raised(0o755, 0, 0, bind), "namespace": raised(0o755, 0, 0, inNamespace),
		"setuid for another": raised(setuid, 65534, 0, ""), "setgid for another": raised(setgid, 0, 4, ""),
	}
	for of, path := range own {
		ownFile = path
		for next, to := range own {
			f := must.Get(openProgram(to))(t)
			err := givesRights(f)
			f.Close()
			if want := of == next || of == "plain" || of == "namespace" && next == "capabilities"; want != (err == nil) || err != nil && !IsRefusal(err) {
				t.Errorf("from %s to %s: %v", of, next, err)
			}
		}
	}
}
