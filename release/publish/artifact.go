package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/gracex-go/gracex/release"
)

// artifact is a file that can become a part of a release.
type artifact struct {
	path     string // in the folder
	name     string // of the file
	os, arch string // by its name or goreleaser; empty: the program itself says it
	variant  string // of the processor, such as v1 of amd64
	sum      string // SHA-256 by goreleaser; empty: not known
}

func (a artifact) system() string {
	if a.os == "" || a.arch == "" {
		return ""
	}
	return a.os + "/" + a.arch
}

// folder is what is to be published.
type folder struct {
	root          *os.Root
	artifacts     []artifact
	name, version string   // by goreleaser; empty in a plain folder
	notes         []string // what was passed over
}

func (f *folder) note(format string, a ...any) { f.notes = append(f.notes, fmt.Sprintf(format, a...)) }

// openFolder looks for the files of a program in a folder. The caller closes its root. program is empty if it has the
// name of the product.
func openFolder(dir, name, program string) (*folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f := &folder{root: root}
	b, err := root.ReadFile("artifacts.json")
	switch {
	case err == nil:
		err = f.goreleaser(b, program)
	case errors.Is(err, fs.ErrNotExist):
		err = f.plain(name, program)
	}
	if err == nil && len(f.artifacts) == 0 {
		err = f.nothing(dir, name, program)
	}
	if err == nil {
		f.artifacts, err = f.one(f.artifacts)
	}
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	return f, nil
}

func (f *folder) nothing(dir, name, program string) error {
	if name == "" {
		name = f.name
	}
	if program == "" {
		program = name
	}
	more := ""
	if len(f.notes) > 0 {
		more = " (" + strings.Join(f.notes, "; ") + ")"
	}
	return refuse("%s has no file with the program %s%s: its files have names such as %s_linux_amd64 or %s_1.5.0_linux_amd64.tar.gz", dir, program, more, name, name)
}

// goreleaser reads the list that goreleaser leaves in its output folder.
func (f *folder) goreleaser(list []byte, program string) error {
	var meta struct {
		Name    string `json:"project_name"`
		Version string
	}
	b, err := f.root.ReadFile("metadata.json")
	if err == nil {
		err = json.Unmarshal(b, &meta)
	}
	if err != nil {
		return fmt.Errorf("metadata.json of goreleaser: %w", err)
	}
	f.name, f.version = meta.Name, meta.Version
	if program == "" {
		program = f.name
	}
	var all []struct {
		Name, Path, Type             string
		GOOS, GOARCH, GOAMD64, GOARM string
		GO386, GOARM64, GOMIPS       string
		Extra                        json.RawMessage // of other types it has other things
	}
	if err := json.Unmarshal(list, &all); err != nil {
		return fmt.Errorf("artifacts.json of goreleaser: %w", err)
	}
	is := func(s string) bool { return strings.TrimSuffix(s, ".exe") == program }
	for _, a := range all {
		if a.Type != "Archive" && a.Type != "Binary" || a.GOOS == "" {
			continue
		}
		var extra struct {
			Binary, Checksum string
			Binaries         []string
		}
		if len(a.Extra) > 0 {
			if err := json.Unmarshal(a.Extra, &extra); err != nil {
				return fmt.Errorf("artifacts.json of goreleaser, %s: %w", a.Name, err)
			}
		}
		switch {
		case a.Type == "Binary" && !is(extra.Binary) && !is(a.Name):
			continue
		case a.Type == "Archive" && len(extra.Binaries) > 0 && !slices.ContainsFunc(extra.Binaries, is):
			continue
		case a.Type == "Archive" && !release.IsPacked(a.Name):
			f.note("%s is passed over: a host unpacks .tar.gz, .tar.zst, .gz and .zst", a.Name)
			continue
		case a.GOARCH == "all":
			f.note("%s is passed over: it is for several processors at once", a.Name)
			continue
		}
		at, err := f.find(a.Path)
		if err != nil {
			return err
		}
		sum, ok := strings.CutPrefix(extra.Checksum, "sha256:")
		if !ok { // goreleaser can be told to use another hash
			sum = ""
		}
		f.artifacts = append(f.artifacts, artifact{
			path: at, name: path.Base(at), os: a.GOOS, arch: a.GOARCH,
			variant: a.GOAMD64 + a.GOARM + a.GOARM64 + a.GO386 + a.GOMIPS,
			sum:     sum,
		})
	}
	return nil
}

// find returns where a file of artifacts.json is in the folder. Its path there begins at the project's directory, as
// dist/shop_linux_amd64_v1/shop, and the folder can have been moved since. Nothing outside the folder is found.
func (f *folder) find(p string) (string, error) {
	rest := strings.Trim(path.Clean(strings.ReplaceAll(p, `\`, "/")), "/")
	for more := true; more; _, rest, more = strings.Cut(rest, "/") {
		if _, err := f.root.Lstat(rest); err == nil {
			return rest, nil
		}
	}
	return "", refuse("artifacts.json has %q, which is not in the folder", p)
}

// plain takes the files that have the program's name, with an end that says for which system each is.
func (f *folder) plain(name, program string) error {
	if name == "" {
		return refuse("a folder without artifacts.json of goreleaser does not say the product's name: give it")
	}
	if program == "" {
		program = name
	}
	entries, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		rest, found := strings.CutPrefix(e.Name(), program)
		if !found && program != name {
			rest, found = strings.CutPrefix(e.Name(), name)
		}
		if !found || rest != "" && rest != ".exe" && !strings.ContainsRune("-_.", rune(rest[0])) || e.IsDir() {
			continue
		}
		a := artifact{path: e.Name(), name: e.Name()}
		if !release.IsPacked(a.name) {
			if is, err := f.isProgram(a.path); err != nil {
				return err
			} else if !is {
				f.note("%s is passed over: it is no program and no archive that a host unpacks", a.name)
				continue
			}
		}
		a.os, a.arch = systemByName(strings.TrimSuffix(a.name, rest), a.name)
		f.artifacts = append(f.artifacts, a)
	}
	return nil
}

func (f *folder) isProgram(name string) (bool, error) {
	file, err := f.open(name)
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }()
	return isProgram(file), nil
}

// open opens a plain file. A link is refused, though it stays in the folder: what it leads to can be changed apart.
func (f *folder) open(name string) (*os.File, error) {
	fi, err := f.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, refuse("%s is no plain file (mode %v)", name, fi.Mode())
	}
	return f.root.Open(name)
}

// systemByName returns for which system a file is by its name, as a host reads it in a SHA256SUMS.
func systemByName(program, file string) (goos, arch string) {
	m, err := release.ParseSums([]byte(strings.Repeat("0", 64)+"  "+file+"\n"), comment(release.Manifest{Name: program, Version: "0", Serial: 1}))
	if err != nil || len(m.Files) != 1 {
		return "", ""
	}
	return m.Files[0].OS, m.Files[0].Arch
}

// packOrder is what is taken first if several files are for one system. What has no suffix comes last.
var packOrder = []string{".tar.zst", ".tar.gz", ".tgz", ".zst", ".gz"}

func (a artifact) rank() int {
	if i := slices.IndexFunc(packOrder, func(s string) bool { return strings.HasSuffix(a.name, s) }); i >= 0 {
		return i
	}
	return len(packOrder)
}

// one leaves one file for each system: that for the oldest processor, and packed rather than not.
func (f *folder) one(all []artifact) (best []artifact, err error) {
	for _, a := range all {
		i := slices.IndexFunc(best, func(b artifact) bool { return a.system() != "" && b.system() == a.system() })
		if i < 0 {
			best = append(best, a)
			continue
		}
		b := best[i]
		known := a.variant != "" && b.variant != "" && a.variant != b.variant
		if !known && a.rank() == b.rank() {
			return nil, refuse("%s and %s are both for %s, and a release has one file for it", b.path, a.path, a.system())
		}
		if known && a.variant < b.variant || !known && a.rank() < b.rank() {
			a, b = b, a
			best[i] = b
		}
		f.note("%s is passed over: %s is for %s, too", a.path, b.path, b.system())
	}
	return best, nil
}
