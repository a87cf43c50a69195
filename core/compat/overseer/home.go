package overseer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gracex-go/gracex/release"
)

// maxSocket is how long the path of a unix socket can be, in bytes: unix(7) has 107, and macOS 103.
const maxSocket = 103

// home is where the releases of this program are: the directory of a release.Store.
type home struct {
	dir     string
	program string // its name in there
	plain   string // the program as a plain file, which is no release yet; empty: the start leads through the store
}

// launchPath is the path by which this program was started, with its symlinks: that of the next start.
func launchPath() (string, error) {
	path := os.Args[0]
	if !strings.ContainsRune(path, filepath.Separator) {
		var err error
		if path, err = exec.LookPath(path); err != nil {
			return "", err
		}
	}
	return filepath.Abs(path)
}

// homeOf finds the home of a program that is started by this path. A plain file /srv/shop gets the directory /srv/shop.d.
func homeOf(path string) (home, error) {
	if dir, program, err := release.Locate(path); err == nil {
		dir, err = filepath.EvalSymlinks(dir)
		return home{dir: dir, program: program}, err
	}
	plain, err := filepath.EvalSymlinks(path)
	if err != nil {
		return home{}, err
	}
	return home{dir: plain + ".d", program: filepath.Base(plain), plain: plain}, nil
}

// prepare makes the directory, and has everything looked at that would stop a release in the end.
func (h home) prepare() error {
	if h.plain != "" {
		if err := os.Mkdir(h.dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { //nolint:gosec // others can see what runs
			return err
		}
	}
	s, err := release.Open(h.dir, h.program)
	if errors.Is(err, release.ErrBusy) {
		return nil // the process before this one ends a deploy
	}
	if err != nil {
		return err
	}
	return s.Close()
}

// socket is the path of the control socket; empty if it would be too long. Several services can run one program: they
// differ by their arguments or their addresses.
func (h home) socket(addresses []string) string {
	sum := sha256.Sum256([]byte(strings.Join(os.Args[1:], "\x00") + "\x00\x00" + strings.Join(addresses, "\x00")))
	path := filepath.Join(h.dir, "control-"+hex.EncodeToString(sum[:4]))
	if len(path) > maxSocket {
		return ""
	}
	return path
}

// adopt makes a release of the plain file, which this process runs, and has its path lead to what is current from then
// on. Nobody's command line has to change. A call that was killed can be repeated.
func (f *updates) adopt(ctx context.Context, s *release.Store, h home) error {
	if h.plain == "" {
		return nil
	}
	if err := f.runs(h.plain); err != nil {
		return err
	}
	inside := filepath.Join(s.Dir(), h.program)
	fi, err := os.Lstat(inside)
	switch {
	case err == nil && fi.Mode().IsRegular() && !os.SameFile(fi, f.own.FileInfo): // of another one that was to be adopted
		err = os.Remove(inside)
		if err == nil {
			err = os.Link(h.plain, inside)
		}
	case errors.Is(err, fs.ErrNotExist):
		err = os.Link(h.plain, inside)
	}
	if err != nil {
		return err
	}
	if _, err := s.Adopt(ctx, nil, "", f.event); err != nil {
		return err
	}
	if f.runs(inside) != nil {
		// Somebody has put a plain file in the place of the symlink since, and started that: it works.
		r, err := s.StageFile(ctx, h.plain, "", release.StageOptions{Again: true, OtherProgram: true}, f.event)
		if err == nil {
			err = s.Install(ctx, nil, r, f.event)
		}
		if err != nil {
			return err
		}
	}
	return f.lead(h)
}

// runs returns an error if this process runs another file than that.
func (f *updates) runs(path string) error {
	fi, err := os.Stat(path)
	if err == nil && !os.SameFile(fi, f.own.FileInfo) {
		err = fmt.Errorf("%s is another file than this process runs: it is not known whether it works; upgrade to it first, or put the other one back", path)
	}
	return err
}

// lead replaces the plain file by a symlink to what is current. The file itself is a release by now.
func (f *updates) lead(h home) error {
	link := h.plain + ".new"
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(filepath.Join(filepath.Base(h.dir), "current", h.program), link); err != nil {
		return err
	}
	if err := f.runs(h.plain); err != nil { // it was replaced meanwhile
		_ = os.Remove(link)
		return err
	}
	if err := os.Rename(link, h.plain); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(h.plain))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return dir.Sync()
}
