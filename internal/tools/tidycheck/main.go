// Command tidycheck fails when a module of the workspace is not what the go
// command would make of it. It changes nothing:
//
//   - every go.mod in the tree, outside testdata, is named by go.work;
//   - every module is tidy by itself, that is with go.work left out;
//   - no module requires a version below the one that the workspace builds
//     with, so what "go test work" tests is what a user of the module gets.
//
// With -fix it tidies every module instead. "make tidy" does that and brings them in step
// with go.work.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gracex-go/gracex/internal/tools/workspace"
)

func main() {
	fix := flag.Bool("fix", false, "tidy every module, and check nothing")
	flag.Parse()
	if err := run(context.Background(), *fix); err != nil {
		fmt.Fprintln(os.Stderr, "tidycheck:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, fix bool) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()

	ws, err := workspace.Load(ctx, ".")
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "tidycheck-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)

	if fix {
		for _, m := range ws.Modules {
			if err := repair(ctx, ws, m, tmp); err != nil {
				return fmt.Errorf("%s: %w", m.Rel, err)
			}
		}
		return nil
	}
	failed := 0
	report := func(what string, err error) {
		if err != nil {
			failed++
			fmt.Printf("FAIL\t%s: %v\n", what, err)
			return
		}
		fmt.Printf("ok\t%s\n", what)
	}
	report("go.work names every module", forgotten(ws))
	for _, m := range ws.Modules {
		report(m.Rel+" is tidy", tidy(ctx, ws, m, tmp))
	}
	report("go.work is in sync", inSync(ctx, ws, tmp))
	if failed > 0 {
		return fmt.Errorf("%d failed; \"make tidy\" repairs what a command can repair", failed)
	}
	return nil
}

// repair tidies a module.
func repair(ctx context.Context, ws *workspace.Workspace, m workspace.Module, tmp string) error {
	if !unreleased(ws, m) {
		_, err := workspace.Go(ctx, m.Dir, []string{"GOWORK=off"}, "mod", "tidy")
		return err
	}
	modfile, err := withReplacements(ctx, ws, m, tmp)
	if err != nil {
		return err
	}
	if _, err := workspace.Go(ctx, m.Dir, []string{"GOWORK=off"}, "mod", "tidy", "-modfile="+modfile); err != nil {
		return err
	}
	args := []string{"mod", "edit"}
	for _, other := range ws.Modules {
		args = append(args, "-dropreplace="+other.Path)
	}
	if _, err := workspace.Go(ctx, m.Dir, nil, append(args, modfile)...); err != nil {
		return err
	}
	return errors.Join(
		copyFile(filepath.Join(m.Dir, "go.mod"), modfile),
		copyFile(filepath.Join(m.Dir, "go.sum"), filepath.Join(filepath.Dir(modfile), "go.sum")),
	)
}

// unreleased reports whether a module requires others of the workspace, and says nowhere
// that they are here.
func unreleased(ws *workspace.Workspace, m workspace.Module) bool {
	return len(m.Replace) == 0 && slices.ContainsFunc(m.Require, func(r workspace.Requirement) bool { return ws.Own(r.Path) })
}

func forgotten(ws *workspace.Workspace) error {
	dirs, err := ws.Forgotten()
	if err == nil && len(dirs) > 0 {
		err = fmt.Errorf("missing there: %s", strings.Join(dirs, ", "))
	}
	return err
}

// tidy asks for the difference that "go mod tidy" would make.
//
// A module without replace directives (a command, so that "go install" takes
// it) can be resolved that way only after a release of the modules it
// requires. It is checked with a go.mod beside it that has the replacements.
func tidy(ctx context.Context, ws *workspace.Workspace, m workspace.Module, tmp string) error {
	args := []string{"mod", "tidy", "-diff"}
	if unreleased(ws, m) {
		modfile, err := withReplacements(ctx, ws, m, tmp)
		if err != nil {
			return err
		}
		args = append(args, "-modfile="+modfile)
	}
	diff, err := workspace.Go(ctx, m.Dir, []string{"GOWORK=off"}, args...)
	if len(bytes.TrimSpace(diff)) > 0 {
		return fmt.Errorf("go mod tidy would change it:\n%s", diff)
	}
	return err
}

// withReplacements writes a copy of m's go.mod and go.sum in which every other
// module of the workspace is replaced by its directory.
func withReplacements(ctx context.Context, ws *workspace.Workspace, m workspace.Module, tmp string) (string, error) {
	dir, err := os.MkdirTemp(tmp, "")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		if err := copyFile(filepath.Join(dir, name), filepath.Join(m.Dir, name)); err != nil {
			return "", err
		}
	}
	modfile := filepath.Join(dir, "go.mod")
	args := []string{"mod", "edit"}
	for _, other := range ws.Modules {
		if other.Path != m.Path {
			args = append(args, "-replace="+other.Path+"="+other.Dir)
		}
	}
	_, err = workspace.Go(ctx, m.Dir, nil, append(args, modfile)...)
	return modfile, err
}

// inSync compares each requirement with the version that the whole workspace
// selects. The go command may complete go.work.sum on the way, so it works on
// a copy of the module files.
func inSync(ctx context.Context, ws *workspace.Workspace, tmp string) error {
	dir := filepath.Join(tmp, "sync")
	for _, name := range []string{"go.work", "go.work.sum"} {
		if err := copyFile(filepath.Join(dir, name), filepath.Join(ws.Dir, name)); err != nil {
			return err
		}
	}
	for _, m := range ws.Modules {
		for _, name := range []string{"go.mod", "go.sum"} {
			if err := copyFile(filepath.Join(dir, m.Rel, name), filepath.Join(m.Dir, name)); err != nil {
				return err
			}
		}
	}
	out, err := workspace.Go(ctx, dir, []string{"GOWORK="}, "list", "-m", "-json", "all")
	if err != nil {
		return err
	}
	selected := map[string]string{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var mod struct{ Path, Version string }
		if err := dec.Decode(&mod); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		selected[mod.Path] = mod.Version
	}
	var behind []string
	for _, m := range ws.Modules {
		for _, r := range m.Require {
			if v := selected[r.Path]; v != r.Version && !ws.Own(r.Path) {
				behind = append(behind, fmt.Sprintf("\n\t%s requires %s %s, the workspace builds with %s", m.Rel, r.Path, r.Version, v))
			}
		}
	}
	if len(behind) > 0 {
		return fmt.Errorf("go work sync would change it:%s", strings.Join(behind, ""))
	}
	return nil
}

// copyFile copies a module file. A missing one is no error: a module without
// requirements needs no go.sum.
func copyFile(dst, src string) error {
	data, err := os.ReadFile(src)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return err
	}
	return os.WriteFile(dst, data, 0o644)
}
