// Package workspace tells the repository's own checks which modules go.work
// holds and what each of them requires. Nothing else knows that list, so a new
// module is checked as soon as go.work names it.
package workspace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A Workspace is the modules that one go.work file names.
type Workspace struct {
	Dir     string   // absolute directory of go.work
	Modules []Module // sorted by Rel, the root module first
}

// A Module is one module of the workspace.
type Module struct {
	Dir     string // absolute directory
	Rel     string // Dir relative to go.work, with slashes; "." for the root
	Path    string
	Go      string // its go directive
	Require []Requirement
	Replace []string // paths of the modules that its go.mod replaces
}

// A Requirement is one line of a go.mod's require blocks.
type Requirement struct {
	Path     string
	Version  string
	Indirect bool
}

// Load reads the go.work file that governs dir.
func Load(ctx context.Context, dir string) (*Workspace, error) {
	out, err := Go(ctx, dir, nil, "env", "GOWORK")
	if err != nil {
		return nil, err
	}
	file := strings.TrimSpace(string(out))
	if file == "" || file == "off" {
		return nil, errors.New("no go.work file: run this in the repository, without GOWORK=off")
	}
	ws := &Workspace{Dir: filepath.Dir(file)}

	var work struct{ Use []struct{ DiskPath string } }
	if err := edit(ctx, ws.Dir, &work, "work", "edit", "-json", file); err != nil {
		return nil, err
	}
	for _, use := range work.Use {
		m, err := loadModule(ctx, ws.Dir, use.DiskPath)
		if err != nil {
			return nil, err
		}
		ws.Modules = append(ws.Modules, m)
	}
	slices.SortFunc(ws.Modules, func(a, b Module) int { return strings.Compare(a.Rel, b.Rel) })
	return ws, nil
}

func loadModule(ctx context.Context, root, diskPath string) (Module, error) {
	m := Module{
		Dir: filepath.Join(root, filepath.FromSlash(diskPath)),
		Rel: filepath.ToSlash(filepath.Clean(diskPath)),
	}
	var mod struct {
		Module  struct{ Path string }
		Go      string
		Require []Requirement
		Replace []struct{ Old struct{ Path string } }
	}
	if err := edit(ctx, m.Dir, &mod, "mod", "edit", "-json", "go.mod"); err != nil {
		return m, err
	}
	m.Path, m.Go, m.Require = mod.Module.Path, mod.Go, mod.Require
	for _, r := range mod.Replace {
		m.Replace = append(m.Replace, r.Old.Path)
	}
	return m, nil
}

// Own reports whether path is a module of the workspace.
func (ws *Workspace) Own(path string) bool {
	return slices.ContainsFunc(ws.Modules, func(m Module) bool { return m.Path == path })
}

// Forgotten lists the directories that hold a go.mod which go.work does not
// name; the go command would silently leave them out of every check. Modules
// under testdata are test input and do not count.
func (ws *Workspace) Forgotten() ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(ws.Dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == ".git"):
			return filepath.SkipDir
		case d.Name() != "go.mod":
			return nil
		}
		dir := filepath.Dir(path)
		if !slices.ContainsFunc(ws.Modules, func(m Module) bool { return m.Dir == dir }) {
			rel, err := filepath.Rel(ws.Dir, dir)
			if err != nil {
				return err
			}
			dirs = append(dirs, filepath.ToSlash(rel))
		}
		return nil
	})
	return dirs, err
}

// Go runs the go command in dir with env added to the environment and returns
// what it wrote to its standard output. The error holds what it wrote to its
// standard error.
func Go(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// edit runs one of the go command's "edit -json" forms and decodes its answer.
func edit(ctx context.Context, dir string, into any, args ...string) error {
	out, err := Go(ctx, dir, nil, args...)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, into)
}
