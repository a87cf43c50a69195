package spawn

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Release is where the program and the working directory of this process were at the start, all symlinks resolved.
// It tells a deployment that has missed a part of what runs. A nil one knows nothing.
type Release struct {
	program string      // the program's file
	file    os.FileInfo // of that
	dir     string      // the working directory
	wrapped bool        // a script is at the launch path, or what has no build information, and led to this program
	links   []link      // that led to one of the two, or to a directory above it
}

// link is a symlink, and where it led at the start.
type link struct{ name, target string }

const (
	// linkLevels is how far above the program, and the working directory, symlinks to them are looked for. In
	// the usual layout, releases/1/bin/app and current, the link is three directories above the program's.
	linkLevels = 3
	// maxEntries bounds what is read of a directory there.
	maxEntries = 2000
)

// Look returns what is known of this process's release now: right after the start.
func (l Launch) Look() *Release {
	if runtime.GOOS == "windows" {
		return nil // there are no upgrades
	}
	path, err := l.Path()
	if err != nil {
		return nil
	}
	r := &Release{wrapped: kindOf(path) == untold}
	if r.program, err = filepath.EvalSymlinks(path); err != nil {
		return nil
	}
	if r.file, err = os.Stat(r.program); err != nil {
		return nil
	}
	if r.dir, err = filepath.EvalSymlinks(l.Dir); err != nil {
		return nil
	}
	seen := map[string]bool{}
	for _, below := range []string{r.program, r.dir} {
		above := filepath.Dir(below)
		for range linkLevels {
			if !seen[above] {
				seen[above] = true
				r.links = append(r.links, r.linksIn(above)...)
			}
			above = filepath.Dir(above)
		}
	}
	return r
}

// IsWrapped reports whether a script, or another program, is at the launch path and leads to this one.
func (r *Release) IsWrapped() bool { return r != nil && r.wrapped }

// linksIn are the symlinks in a directory that lead to the release. Nothing is looked at behind them: another one
// may lead to a file server that does not answer.
func (r *Release) linksIn(dir string) (links []link) {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	entries, _ := f.ReadDir(maxEntries)
	for _, e := range entries {
		if e.Type()&os.ModeSymlink == 0 {
			continue
		}
		k := link{name: filepath.Join(dir, e.Name())}
		k.target = k.leads()
		if k.target != r.program && !isAbove(k.target, dir) && (isAbove(k.target, r.program) || isAbove(k.target, r.dir)) {
			links = append(links, k)
		}
	}
	return links
}

// leads is where the link leads now, by its own words; empty if it is gone.
func (k link) leads() string {
	target, err := os.Readlink(k.name)
	switch {
	case err != nil:
		return ""
	case filepath.IsAbs(target):
		return filepath.Clean(target)
	}
	return filepath.Join(filepath.Dir(k.name), target)
}

// isAbove reports whether path is dir, or below it. Nothing counts as being below the root.
func isAbove(dir, path string) bool {
	if dir == "" || dir == string(filepath.Separator) {
		return false
	}
	return path == dir || strings.HasPrefix(path, dir+string(filepath.Separator))
}

// instead is the working directory of the program at path when the remembered one is gone.
func (r *Release) instead(path string) string {
	if r != nil {
		for _, k := range r.links {
			if rest, ok := strings.CutPrefix(r.dir, k.target); ok && isAbove(k.target, r.dir) && isDir(k.name+rest) {
				return k.name + rest
			}
		}
		now, err := filepath.EvalSymlinks(path)
		if inside, ok := strings.CutPrefix(r.program, r.dir); err == nil && ok && isAbove(r.dir, r.program) {
			if dir, ok := strings.CutSuffix(now, inside); ok && isDir(dir) {
				return dir
			}
		}
	}
	return string(filepath.Separator)
}

func isDir(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && fi.IsDir()
}

// Missed says which part of a deployment the next process, the program at path started as l says, is without;
// empty for none.
func (r *Release) Missed(path string, l Launch) string {
	if r == nil {
		return ""
	}
	program, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "" // the start says why
	}
	dir, err := filepath.EvalSymlinks(l.In())
	if err != nil {
		return ""
	}
	// A release that is named (To) is what is wanted, also the one that this process was started from.
	if k, rest, ok := r.moved(program); ok && l.file == "" && r.isFile(program) {
		return fmt.Sprintf("the program is the same file as before, %s, although the symlink %s, which led there at the "+
			"start, leads to %s now; start the program as %s", program, k.name, k.leads(), k.name+rest)
	}
	if l.Fixed {
		return ""
	}
	if k, rest, ok := r.moved(dir); ok && l.in == "" && isDir(k.name+rest) {
		return fmt.Sprintf("the working directory is %s as before, although the symlink %s, which led there at the "+
			"start, leads to %s now; give core.WithWorkingDirectory(%q)", dir, k.name, k.leads(), k.name+rest)
	}
	if isAbove(r.dir, r.program) && !isAbove(dir, program) {
		return fmt.Sprintf("the program is %s and the working directory %s, although the program was inside the working "+
			"directory at the start; start the program by a path through the symlink that leads to both, or give "+
			"core.WithWorkingDirectory", program, dir)
	}
	return ""
}

// moved returns a symlink that led to path at the start, and has the same place elsewhere now, at rest below it.
func (r *Release) moved(path string) (k link, rest string, ok bool) {
	for _, k := range r.links {
		if now := k.leads(); now == "" || now == k.target || !isAbove(k.target, path) {
			continue
		}
		rest := strings.TrimPrefix(path, k.target)
		if _, err := os.Stat(k.name + rest); err == nil {
			return k, rest, true
		}
	}
	return link{}, "", false
}

// isFile reports whether the file is the one that this process was started from.
func (r *Release) isFile(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && os.SameFile(fi, r.file) && fi.ModTime().Equal(r.file.ModTime()) && fi.Size() == r.file.Size()
}
