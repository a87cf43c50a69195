package release

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gracex-go/gracex/release/internal/digest"
)

// StageFile is [Store.Stage] for a file at hand: the program itself, or one that is packed (.tar.gz, .tar.zst, .gz,
// .zst), or a directory with nothing but the program in it. It needs no signature. The file has to belong to root, to
// this process's user or to the store's owner, and nobody else may write it. Its serial is 0: it neither is refused as
// old, nor makes a published release old.
//
// The version is that of the build information if version is empty, and the time of the file if there is none. With a
// version that is given, other bytes than it had before are refused.
func (s *Store) StageFile(ctx context.Context, path, version string, o StageOptions, events func(Event)) (Release, error) {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	j := s.job(o, path, events)
	r, err := j.stageFile(ctx, path, version)
	return r, j.end(err)
}

func (j *job) stageFile(ctx context.Context, path, version string) (r Release, err error) {
	if err := j.ground(); err != nil {
		return r, err
	}
	path, err = j.programIn(path)
	if err != nil {
		return r, err
	}
	from, err := os.Open(path)
	if err != nil {
		return r, notNow("%w", err)
	}
	defer func() { _ = from.Close() }()
	fi, err := from.Stat()
	if err != nil {
		return r, notNow("%w", err)
	}
	if err := j.trusted(path, fi); err != nil {
		return r, err
	}
	if version == "" {
		version = versionOf(path, fi.ModTime())
	} else if err := checkWord("version", version); err != nil {
		return r, refuse("%w", err)
	}
	if err := j.room(File{Size: fi.Size(), SHA256: "none"}); err != nil {
		return r, err
	}
	f := File{File: filepath.Base(path)}
	if f.SHA256, f.Size, err = j.copy(ctx, from); err != nil {
		return r, err
	}
	step("downloaded")
	r = Release{Version: version, Source: j.source, Staged: j.now().UTC().Truncate(time.Second)}
	if packing(f.File) == packedNot {
		r.SHA256, r.Size = f.SHA256, f.Size
	} else {
		r.Packed = f.SHA256
	}
	in := arrival{Release: r, file: f, part: filepath.Join(incomingDir, f.SHA256), like: j.like()}
	st, err := j.State()
	if err == nil {
		err = j.allowed(st, r)
	}
	if err != nil {
		_ = j.root.Remove(in.part)
		return Release{}, err
	}
	if old, ok, err := j.there(ctx, in); err != nil || ok {
		_ = j.root.Remove(in.part)
		return old, err
	}
	return j.arrive(ctx, in)
}

// programIn is the path, or of a directory that of the program in it.
func (j *job) programIn(path string) (string, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return "", notNow("%w", err)
	}
	if fi.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			return "", notNow("%w", err)
		}
		for _, e := range entries {
			if e.Name() != j.program {
				return "", refuse("%s has %s in it beside %s, and a release is one program: embed the files (go:embed), or name the file", path, e.Name(), j.program)
			}
		}
		path = filepath.Join(path, j.program)
		if fi, err = os.Stat(path); err != nil {
			return "", notNow("%w", err)
		}
	}
	if !fi.Mode().IsRegular() {
		return "", refuse("%s is no file (mode %v)", path, fi.Mode())
	}
	return path, nil
}

// trusted refuses a file that somebody else can have written.
func (s *Store) trusted(path string, fi fs.FileInfo) error {
	uid, _ := ownerOf(fi)
	switch {
	case uid != 0 && uid != os.Geteuid() && uid != s.uid:
		return refuse("%s belongs to user %d, and not to the one who deploys it", path, uid)
	case fi.Mode().Perm()&0o002 != 0:
		return refuse("%s can be written by everybody (mode %v): chmod o-w %s", path, fi.Mode(), path)
	case fi.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0:
		return refuse("%s is setuid or setgid (mode %v), and a release is not: chmod ug-s %s", path, fi.Mode(), path)
	}
	return nil
}

// copy copies a file to incoming/, and returns its hash: that of the copy, whatever becomes of the file meanwhile.
func (j *job) copy(ctx context.Context, from *os.File) (sum string, size int64, err error) {
	tmp := filepath.Join(incomingDir, "new-file")
	to, err := j.root.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", 0, notNow("%w", err)
	}
	sum, size, err = digest.Copy(ctx, to, from)
	if cerr := to.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = j.root.Rename(tmp, filepath.Join(incomingDir, sum))
	}
	if err != nil {
		_ = j.root.Remove(tmp)
		if errors.Is(err, ctx.Err()) {
			return "", 0, err
		}
		return "", 0, notNow("%w", err)
	}
	return sum, size, nil
}

// versionOf is the version that Go has put into a program, without the "v"; the file's time if there is none.
func versionOf(path string, modified time.Time) string {
	if info, err := buildinfo.ReadFile(path); err == nil {
		v := strings.TrimPrefix(info.Main.Version, "v")
		if checkWord("version", v) == nil {
			return v
		}
	}
	return fmt.Sprint(modified.UTC().Format("20060102T150405Z"))
}
