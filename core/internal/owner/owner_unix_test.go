//go:build unix

package owner

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

const nobody = 65534

// site makes dir/release/bin/app, with symlinks to the release and into it.
func site(t *testing.T) string {
	t.Helper()
	dir := must.Get(filepath.EvalSymlinks(t.TempDir()))(t)
	must.Do(t, os.MkdirAll(filepath.Join(dir, "release", "bin"), 0o755))
	must.Do(t, os.WriteFile(filepath.Join(dir, "release", "bin", "app"), []byte("app"), 0o755))
	must.Do(t, os.Symlink("release", filepath.Join(dir, "current")))
	must.Do(t, os.Symlink(filepath.Join(dir, "current", "bin"), filepath.Join(dir, "release", "again")))
	must.Do(t, os.Symlink("release/bin", filepath.Join(dir, "deep")))
	return dir
}

// TestProgram follows symlinks and "..", and opens the file.
func TestProgram(t *testing.T) {
	t.Parallel()
	dir := site(t)
	want := must.Get(os.Stat(filepath.Join(dir, "release/bin/app")))(t)
	for _, path := range []string{"release/bin/app", "current/bin/app", "current/again/app", "current/../release/./bin/app", "current/again/../../current/bin/app", "deep/../bin/app"} {
		f, err := Program(dir + "/" + path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if !os.SameFile(must.Get(f.Stat())(t), want) {
			t.Errorf("%s is another file", path)
		}
		f.Close()
	}
	for path, text := range map[string]string{"release/bin": "no regular file", "release/none": "no such file", "release/bin/app/x": "not a directory"} {
		if _, err := Program(dir + "/" + path); err == nil || !strings.Contains(err.Error(), text) || errors.As(err, new(*Error)) {
			t.Errorf("%s: %v", path, err)
		}
	}
	must.Do(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	if _, err := Program(filepath.Join(dir, "loop")); err == nil {
		t.Error("a symlink to itself is a program")
	}
}

// TestRefusal: whatever others can change on the way is named, with the remedy.
func TestRefusal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil  func(t *testing.T, dir string)
		at     string
		remedy string
		root   bool // only root can do it
		dir    bool // a directory in that place is accepted
	}{
		"file for the group":    {at: "release/bin/app", remedy: "chmod go-w ", dir: true, spoil: func(t *testing.T, dir string) { must.Do(t, os.Chmod(dir+"/release/bin/app", 0o775)) }},
		"file of another user":  {at: "release/bin/app", remedy: "chown ", root: true, dir: true, spoil: func(t *testing.T, dir string) { must.Do(t, os.Chown(dir+"/release/bin/app", nobody, 0)) }},
		"its directory":         {at: "release/bin", remedy: "chmod go-w ", spoil: func(t *testing.T, dir string) { must.Do(t, os.Chmod(dir+"/release/bin", 0o757)) }},
		"the one above":         {at: "release", remedy: "chmod go-w ", spoil: func(t *testing.T, dir string) { must.Do(t, os.Chmod(dir+"/release", 0o777)) }},
		"the one of the link":   {at: "", remedy: "chmod go-w ", spoil: func(t *testing.T, dir string) { must.Do(t, os.Chmod(dir, 0o777)) }},
		"link of another user":  {at: "current", remedy: "chown ", root: true, spoil: func(t *testing.T, dir string) { must.Do(t, os.Lchown(dir+"/current", nobody, 0)) }},
		"directory of another":  {at: "release", remedy: "chown ", root: true, spoil: func(t *testing.T, dir string) { must.Do(t, os.Chown(dir+"/release", nobody, 0)) }},
		"program in sticky one": {at: "release/bin", remedy: "a directory of its own", dir: true, spoil: func(t *testing.T, dir string) { must.Do(t, os.Chmod(dir+"/release/bin", 0o777|os.ModeSticky)) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.root && os.Geteuid() != 0 {
				t.Skip("only root can give files away")
			}
			dir := site(t)
			c.spoil(t, dir)
			refused := new(Error)
			f, err := Program(dir + "/current/bin/app")
			if err == nil {
				f.Close()
			}
			if !errors.As(err, &refused) || refused.Path != filepath.Join(dir, c.at) {
				t.Fatalf("%v", err)
			}
			for _, part := range []string{refused.Path + " (mode ", refused.Mode.String(), "owner ", c.remedy} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in %q", part, err)
				}
			}
			if err := Dir(dir + "/current/bin"); c.dir != (err == nil) || !c.dir && !errors.As(err, &refused) {
				t.Errorf("directory: %v", err)
			}
		})
	}
}

// TestDir: a sticky directory on the way does not matter, and a file is none.
func TestDir(t *testing.T) {
	t.Parallel()
	dir := site(t)
	must.Do(t, os.Chmod(dir, 0o777|os.ModeSticky))
	if err := Dir(dir + "/current/bin"); err != nil {
		t.Error(err)
	}
	f, err := Program(dir + "/current/bin/app")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := Dir(dir + "/current/bin/app"); err == nil || !strings.Contains(err.Error(), "no directory") {
		t.Errorf("a file: %v", err)
	}
}
