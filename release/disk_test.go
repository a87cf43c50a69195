//go:build linux

package release

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
)

func init() { players["disk"] = disk }

const envDisk = "RELEASE_TEST_DISK"

// TestDisk deploys to file systems that are full, read-only or noexec, in a mount namespace of another process.
func TestDisk(t *testing.T) {
	asRoot(t)
	old := publish(t, of(t, shop(t, "good", 1), "1.0.0", 1))
	from := publish(t, of(t, shop(t, "good", 2), "1.1.0", 2))
	public, _ := keys()
	for kind := range disks {
		t.Run(kind, func(t *testing.T) {
			cmd := exec.Command(must.Get(os.Executable())(t))
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
			cmd.Env = append(os.Environ(), "RELEASE_TEST_PROGRAM=disk", envDisk+"="+kind, envDir+"="+storeDir(t), envFrom+"="+old+":"+from, envKey+"="+public.String())
			out, err := cmd.CombinedOutput()
			if errors.Is(err, syscall.EPERM) || cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == mountRefused {
				t.Skip("no mount namespace here")
			}
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

const mountRefused = 77

// disks are what is done on each, by the process in the namespace.
var disks = map[string]func(d diskTest) error{
	"read-only": func(d diskTest) error {
		if err := d.mount(syscall.MS_RDONLY); err != nil {
			return err
		}
		_, err := Open(d.dir, "shop")
		return d.want(err, "read-only file system")
	},
	"noexec": func(d diskTest) error {
		if err := d.mount(syscall.MS_NOEXEC); err != nil {
			return err
		}
		s, err := Open(d.dir, "shop")
		if err != nil {
			return err
		}
		return d.refuses(s, "mounted with noexec")
	},
	"full before": func(d diskTest) error {
		s, _, err := d.installed()
		if err != nil {
			return err
		}
		return d.refuses(s, "MiB are needed")
	},
	"full while it is fetched": func(d diskTest) error {
		s, first, err := d.installed()
		if err != nil {
			return err
		}
		if err := d.fill(1 << 20); err != nil {
			return err
		}
		before, err := os.ReadFile(s.at(stateFile))
		if err != nil {
			return err
		}
		_, err = s.Stage(context.Background(), folder(d.next), d.trust, StageOptions{Reserve: -1}, nil)
		if err := d.want(err, "no space left"); err != nil {
			return err
		}
		after, err := os.ReadFile(s.at(stateFile))
		left, rerr := os.ReadDir(s.at(incomingDir))
		if string(after) != string(before) || len(left) > 0 || s.Current() != first {
			return fmt.Errorf("it has left %v, and the state %s: %w", left, after, errors.Join(err, rerr))
		}
		return nil
	},
	"full before it is tried": func(d diskTest) error {
		s, first, err := d.installed()
		if err != nil {
			return err
		}
		r, err := s.Stage(context.Background(), folder(d.next), d.trust, StageOptions{Reserve: -1}, nil)
		if err != nil {
			return err
		}
		if err := d.fill(0); err != nil {
			return err
		}
		a := (&fakeApp{}).with(first)
		_, err = s.trial(nil, "deploy", r).try(context.Background(), a)
		if len(a.asked) > 0 || s.Current() != first {
			return errors.New("it was tried")
		}
		return d.want(err, "no space left")
	},
	"full when it has passed": func(d diskTest) error {
		s, first, err := d.installed()
		if err != nil {
			return err
		}
		r, err := s.Stage(context.Background(), folder(d.next), d.trust, StageOptions{Reserve: -1}, nil)
		if err != nil {
			return err
		}
		a := &fakeApp{does: func(string) control.Outcome {
			if err := d.fill(0); err != nil {
				return control.Outcome{Kind: control.KindFailed, Reason: err.Error()}
			}
			return control.Outcome{OK: true, Kind: control.KindUpgraded, NewPID: 4712}
		}}
		_, err = s.trial(nil, "deploy", r).try(context.Background(), a.with(first))
		if err := d.want(err, "no space left"); err != nil {
			return err
		}
		if s.Current() != first {
			return fmt.Errorf("%s is current", s.Current())
		}
		if err := os.Remove(filepath.Join(d.dir, "filler")); err != nil {
			return err
		}
		rec, err := s.recover(context.Background(), a, nil)
		if err != nil || !rec.Passed || s.Current() != r.ID {
			return fmt.Errorf("the recovery: %+v, %w", rec, err)
		}
		return nil
	},
}

// diskTest is what the process in the namespace works with.
type diskTest struct {
	dir, first, next string
	trust            Trust
}

func disk() int {
	d := diskTest{dir: os.Getenv(envDir), trust: Trust{Name: "shop", Keys: []string{os.Getenv(envKey)}}}
	d.first, d.next, _ = strings.Cut(os.Getenv(envFrom), ":")
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return mountRefused
	}
	if err := disks[os.Getenv(envDisk)](d); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (d diskTest) mount(flags uintptr) error {
	return syscall.Mount("tmpfs", d.dir, "tmpfs", flags, "size=8m,mode=755")
}

// installed returns the store on a small disk, with a release that is current.
func (d diskTest) installed() (*Store, string, error) {
	if err := d.mount(0); err != nil {
		return nil, "", err
	}
	s, err := Open(d.dir, "shop")
	if err != nil {
		return nil, "", err
	}
	r, err := s.Stage(context.Background(), folder(d.first), d.trust, StageOptions{Reserve: -1}, nil)
	if err != nil {
		return nil, "", err
	}
	return s, r.ID, s.Install(context.Background(), nil, r, nil)
}

// fill writes to the disk until so many bytes are left.
func (d diskTest) fill(left int64) error {
	f, err := os.Create(filepath.Join(d.dir, "filler"))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	noise := make([]byte, 4096)
	_, _ = rand.Read(noise)
	for err == nil {
		_, err = f.Write(noise)
	}
	size, serr := f.Seek(0, 2)
	if serr != nil || !isDiskFull(err) {
		return errors.Join(err, serr)
	}
	return f.Truncate(size - left)
}

// refuses has the next release refused before it is fetched.
func (d diskTest) refuses(s *Store, words string) error {
	src := folder(d.next)
	_, err := s.Stage(context.Background(), src, d.trust, StageOptions{}, nil)
	if len(src.opened) > 0 {
		return errors.New("it was fetched")
	}
	return d.want(err, words)
}

func (d diskTest) want(err error, words string) error {
	if !errors.Is(err, ErrNotTried) || !strings.Contains(err.Error(), words) {
		return fmt.Errorf("the error is %w, and not one with %q", err, words)
	}
	return nil
}
