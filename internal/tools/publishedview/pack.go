package main

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/gracex-go/gracex/internal/tools/workspace"
)

// chooseVersions gives each module the version by which the other modules of
// the workspace require it. They have to agree: they are released together.
func chooseVersions(ws *workspace.Workspace) (map[string]string, error) {
	versions, by := map[string]string{}, map[string]string{}
	for _, m := range ws.Modules {
		for _, r := range m.Require {
			if !ws.Own(r.Path) {
				continue
			}
			if !releaseVersion.MatchString(r.Version) || r.Version == "v0.0.0" {
				return nil, fmt.Errorf("%s requires %s %s, which no user can get: it is no release", m.Rel, r.Path, r.Version)
			}
			if v, ok := versions[r.Path]; ok && v != r.Version {
				return nil, fmt.Errorf("%s requires %s %s, but %s requires %s", m.Rel, r.Path, r.Version, by[r.Path], v)
			}
			versions[r.Path], by[r.Path] = r.Version, m.Rel
		}
	}
	for _, m := range ws.Modules {
		if versions[m.Path] == "" {
			versions[m.Path] = firstVersion(m.Path)
		}
	}
	return versions, nil
}

var (
	releaseVersion = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-(alpha|beta|rc)\.[0-9]+)?$`)
	majorSuffix    = regexp.MustCompile(`/(v[2-9]|v[1-9][0-9]+)$`)
)

// firstVersion is the version for a module that no other one requires. A path
// that ends in a major version admits only versions of that major.
func firstVersion(path string) string {
	if m := majorSuffix.FindStringSubmatch(path); m != nil {
		return m[1] + ".0.0"
	}
	return "v0.1.0"
}

// A proxy is a directory in the layout of a module proxy; "go help goproxy"
// and https://go.dev/ref/mod#goproxy-protocol describe it. Module paths here
// are in lower case, so they need no escaping.
type proxy string

func (p proxy) dir() string { return filepath.Join(string(p), "proxy") }

// url is the proxy's address for GOPROXY.
func (p proxy) url() string { return fileURL(p.dir()) }

func fileURL(dir string) string {
	slashed := filepath.ToSlash(dir)
	if slashed[0] != '/' { // C:/...
		slashed = "/" + slashed
	}
	return "file://" + slashed
}

// add packs a module. What a broken zip file would be, too large or with names
// that differ only in case, the go command itself refuses when it unpacks it.
func (p proxy) add(ws *workspace.Workspace, m workspace.Module, version string) error {
	dir := filepath.Join(p.dir(), filepath.FromSlash(m.Path), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{version, time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(m.Dir, "go.mod"))
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"list":            []byte(version + "\n"),
		version + ".info": info,
		version + ".mod":  mod,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	f, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		return err
	}
	return errors.Join(pack(f, m.Dir, ws.Dir, m.Path+"@"+version+"/"), f.Close())
}

// pack writes the zip file of the module in dir by the rules of
// https://go.dev/ref/mod#zip-files: names start with the prefix, modules below
// dir and vendored packages are left out, only regular files count, and a
// module without a LICENSE gets the one of the repository's root.
func pack(w io.Writer, dir, root, prefix string) error {
	files, err := moduleFiles(dir)
	if err != nil {
		return err
	}
	z := zip.NewWriter(w)
	for _, name := range files {
		if err := addFile(z, prefix+name, filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			return err
		}
	}
	if !slices.Contains(files, "LICENSE") {
		if err := addFile(z, prefix+"LICENSE", filepath.Join(root, "LICENSE")); err != nil {
			return err
		}
	}
	return z.Close()
}

// moduleFiles lists the files that belong to the module in dir, relative to it
// and with slashes.
func moduleFiles(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path == dir {
				return nil
			}
			if d.Name() == ".git" || d.Name() == "vendor" {
				return filepath.SkipDir
			}
			if _, err := os.Lstat(filepath.Join(path, "go.mod")); err == nil {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files = append(files, filepath.ToSlash(rel))
		return nil
	})
	return files, err
}

func addFile(z *zip.Writer, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := z.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}
