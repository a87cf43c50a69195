package publish

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/internal/digest"
)

// Options say what is published, and how.
type Options struct {
	Dir string // goreleaser's output, or a folder of programs; empty: the release in Out is offered again
	Out string // the folder that offers releases; it is made if it is missing
	Key *Key   // signs

	Name     string // of the product; empty: goreleaser's project, or that in Out
	Version  string // empty: goreleaser's, or that in Out
	Program  string // the file name of the program; empty: Name
	Serial   int64  // 0: one more than before
	Expires  time.Time
	Waves    []release.Wave // nil: for all at once, or with an empty Dir as they were
	Paused   bool           // nobody starts it, nor an earlier one
	Revoke   []string       // SHA-256 of programs, besides those that were revoked before
	Previous string         // manifest of the release before, with its signature beside it; that in Out is looked at, too

	// FieldKeys are the public keys that hosts have now. If there are some, Key has to be one of them. The release before
	// can be signed by any of them, and by Key.
	FieldKeys []string

	Sums      bool // SHA256SUMS instead of release.json; it has no waves and the like
	KeepNames bool // files keep their names though the version is not in them

	Now  func() time.Time // nil: time.Now
	step func(name string)
}

// Result is what was published.
type Result struct {
	Manifest  release.Manifest
	File      string // path of the manifest
	Unchanged bool   // the same was published before, under the same serial
	Notes     []string
}

// job is a publish that goes on.
type job struct {
	Options
	out    *out
	before *release.Manifest // the release before; nil for none
	notes  []string
	temps  map[string]string // in out, by the name that each is to have
}

// Publish makes a release of a folder. Two processes can't publish to one folder at a time. It can be called again after
// it was ended at any point. The error wraps ErrRefused if hosts would not accept the release.
func Publish(ctx context.Context, o Options) (Result, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := o.check(); err != nil {
		return Result{}, err
	}
	to, err := openOut(o.Out)
	if err != nil {
		return Result{}, err
	}
	defer to.close()
	j := &job{Options: o, out: to, temps: map[string]string{}}
	defer j.clean()
	m, err := j.prepare(ctx)
	if err != nil {
		return Result{}, err
	}
	r, err := j.publish(m)
	r.Notes = j.notes
	return r, err
}

func (o *Options) check() error {
	switch {
	case o.Key == nil:
		return errors.New("no key was given")
	case o.Sums && (len(o.Waves) > 0 || o.Paused || len(o.Revoke) > 0 || !o.Expires.IsZero()):
		return refuse("a %s has no waves, no expiry and no revoked programs, and can't be paused: publish a %s", sumsFile, manifestFile)
	case o.Sums && o.Dir == "":
		return refuse("nothing in a %s can be changed: give the folder with a new release", sumsFile)
	case !o.Expires.IsZero() && !o.Expires.After(o.Now()):
		return refuse("it would expire at %s, which is over", o.Expires.Format(time.RFC3339))
	}
	if err := o.Key.CheckField(o.FieldKeys); err != nil {
		return err
	}
	in, err := os.Stat(o.Dir)
	if err != nil || o.Dir == "" {
		return nil //nolint:nilerr // openFolder says it
	}
	if out, err := os.Stat(o.Out); err == nil && os.SameFile(in, out) {
		return refuse("%s can't be the folder that is published, and the one that offers it", o.Out)
	}
	return nil
}

// done is where a test looks at the folder, or ends the process.
func (j *job) done(step string) {
	if j.step != nil {
		j.step(step)
	}
}

func (j *job) note(format string, a ...any) { j.notes = append(j.notes, fmt.Sprintf(format, a...)) }

func (j *job) clean() {
	for _, temp := range j.temps {
		os.Remove(j.out.at(temp))
	}
}

// keys are those of which one has signed the release before.
func (j *job) keys() []string { return append([]string{j.Key.Public()}, j.FieldKeys...) }

// prepare returns the manifest, with all files of it in the folder, some of them not yet by their names.
func (j *job) prepare(ctx context.Context) (m release.Manifest, err error) {
	finished, err := j.out.tidy(func(raw, sig []byte) bool {
		_, _, err := genuine(ctx, raw, sig, j.keys(), "")
		return err == nil
	})
	if err != nil {
		return m, err
	}
	if finished {
		j.note("the publish before was cut off at its last step, which is done now")
	}
	m = release.Manifest{Time: j.Now().UTC().Truncate(time.Second), Expires: j.Expires, Waves: j.Waves, Paused: j.Paused}
	if j.Dir == "" {
		if err := j.findBefore(ctx, ""); err != nil {
			return m, err
		}
		err = j.again(ctx, &m)
	} else {
		err = j.fresh(ctx, &m)
	}
	if err != nil {
		return m, err
	}
	return m, j.finish(&m)
}

// fresh makes a manifest of a folder.
func (j *job) fresh(ctx context.Context, m *release.Manifest) error {
	f, err := openFolder(j.Dir, j.Name, cmp.Or(j.Program, j.Name))
	if err != nil {
		return err
	}
	defer func() { _ = f.root.Close() }()
	j.notes = append(j.notes, f.notes...)
	m.Name, m.Version = cmp.Or(j.Name, f.name), cmp.Or(j.Version, f.version)
	switch {
	case m.Name == "" || m.Version == "":
		return refuse("the product's name and version are not known: give both")
	case f.version != "" && strings.TrimPrefix(m.Version, "v") != strings.TrimPrefix(f.version, "v"):
		return refuse("%s is the version %s of goreleaser, and not %s", j.Dir, f.version, m.Version)
	}
	if err := j.findBefore(ctx, m.Name); err != nil {
		return err
	}
	for _, a := range f.artifacts {
		file, err := j.take(ctx, f, a, *m)
		if err != nil {
			return err
		}
		m.Files = append(m.Files, file)
	}
	slices.SortFunc(m.Files, func(a, b release.File) int { return strings.Compare(a.OS+"/"+a.Arch, b.OS+"/"+b.Arch) })
	for i, b := range m.Files[1:] {
		if a := m.Files[i]; a.OS == b.OS && a.Arch == b.Arch {
			return refuse("%s and %s are both for %s/%s, and a release has one file for it", a.File, b.File, a.OS, a.Arch)
		}
	}
	return nil
}

// take copies a file into the folder, and looks at the copy: that is what hosts get.
func (j *job) take(ctx context.Context, f *folder, a artifact, m release.Manifest) (file release.File, err error) {
	from, err := f.open(a.path)
	if err != nil {
		return file, err
	}
	defer func() { _ = from.Close() }()
	temp, size, sum, err := j.out.copyIn(ctx, from)
	if err != nil {
		return file, err
	}
	j.temps[temp] = temp
	if a.sum != "" && !strings.EqualFold(a.sum, sum) {
		return file, refuse("%s has SHA-256 %s, and goreleaser made one with %s: build it again", a.path, sum, a.sum)
	}
	copied, err := os.Open(j.out.at(temp))
	if err != nil {
		return file, err
	}
	defer func() { _ = copied.Close() }()
	file, p, err := describe(copied, a.name, cmp.Or(j.Program, m.Name))
	if err != nil {
		return file, err
	}
	if a.system() != "" && a.system() != p.system() {
		return file, refuse("%s is for %s, and the program in it for %s", a.path, a.system(), p.system())
	}
	file.Size, file.SHA256 = size, sum
	if file.File = j.nameFor(a, m, p); j.temps[file.File] != "" {
		return file, refuse("two files have the name %s", file.File)
	}
	if file, err = j.sameAsThere(ctx, file, m); err != nil {
		return file, err
	}
	delete(j.temps, temp)
	j.temps[file.File] = temp
	return file, nil
}

// nameFor is the name that a file gets in the folder. The version is in it, so that what the manifest of an earlier
// version names stays as it is.
func (j *job) nameFor(a artifact, m release.Manifest, p program) string {
	if j.KeepNames {
		return a.name
	}
	if rest, ok := strings.CutPrefix(a.name, m.Name); ok && rest != "" && strings.ContainsRune("-_.", rune(rest[0])) {
		rest, ok = strings.CutPrefix(strings.TrimPrefix(rest[1:], "v"), strings.TrimPrefix(m.Version, "v"))
		if ok && rest != "" && strings.ContainsRune("-_.", rune(rest[0])) {
			return a.name
		}
	}
	suffix := ""
	if i := a.rank(); i < len(packOrder) {
		suffix = packOrder[i]
	} else if p.os == "windows" {
		suffix = ".exe"
	}
	return fmt.Sprintf("%s_%s_%s_%s%s", m.Name, m.Version, p.os, p.arch, suffix)
}

// sameAsThere refuses other bytes under a name that is in the folder. An archive that was packed anew and has the same
// program in it is no new one: the one that is there is taken.
func (j *job) sameAsThere(ctx context.Context, file release.File, m release.Manifest) (release.File, error) {
	there, err := os.Open(j.out.at(file.File))
	if errors.Is(err, fs.ErrNotExist) {
		return file, nil
	}
	if err != nil {
		return file, err
	}
	defer func() { _ = there.Close() }()
	old := file
	if old.SHA256, old.Size, err = digest.Copy(ctx, io.Discard, there); err != nil || old.SHA256 == file.SHA256 {
		return file, err
	}
	if got, _, err := describe(there, file.File, cmp.Or(j.Program, m.Name)); err == nil && got.Unpacked != nil && *got.Unpacked == *file.Unpacked {
		j.note("%s is packed anew and has the same program: the file that is published stays", file.File)
		return old, nil
	}
	remedy := "a version never gets another content, so publish a new version"
	if j.KeepNames {
		remedy = "the version is not in its name, so take another folder for each version"
	}
	return file, refuse("%s is in %s with SHA-256 %.8s, and would get %.8s: %s", file.File, j.Out, old.SHA256, file.SHA256, remedy)
}

// findBefore reads the release before: the one with the highest serial of all that are known.
func (j *job) findBefore(ctx context.Context, name string) error {
	for _, file := range []string{j.out.at(manifestFile), j.out.at(sumsFile), j.Previous} {
		if file == "" {
			continue
		}
		raw, sig, err := pair(file)
		if errors.Is(err, fs.ErrNotExist) && file != j.Previous {
			continue
		}
		if err != nil {
			return err
		}
		if j.Sums && file == j.out.at(manifestFile) {
			return refuse("%s is there, and hosts read it before a %s", file, sumsFile)
		}
		m, _, err := genuine(ctx, raw, sig, j.keys(), name)
		if err != nil {
			return fmt.Errorf("the release before, %s: %w; give the keys that hosts have, if it is another one", file, err)
		}
		if j.before == nil || m.Serial > j.before.Serial {
			j.before = &m
		}
	}
	return nil
}

// again makes a manifest of the release that is there: to pause it, to go on, for other waves, to revoke a program.
func (j *job) again(ctx context.Context, m *release.Manifest) error {
	b := j.before
	if b == nil {
		return refuse("there is no release in %s that could be offered again: give a folder", j.Out)
	}
	if j.Name != "" && j.Name != b.Name || j.Version != "" && j.Version != b.Version {
		return refuse("%s has %s %s", j.Out, b.Name, b.Version)
	}
	m.Name, m.Version, m.Files = b.Name, b.Version, b.Files
	if m.Waves == nil {
		m.Waves = b.Waves
	}
	if m.Expires.IsZero() {
		m.Expires = b.Expires
	}
	for _, f := range m.Files {
		if err := verifyFile(ctx, j.out.at(f.File), f, cmp.Or(j.Program, m.Name)); err != nil {
			return err
		}
	}
	return nil
}

// finish fills in what depends on the release before.
func (j *job) finish(m *release.Manifest) error {
	m.Serial = j.Serial
	for _, sum := range j.Revoke {
		m.Revoked = append(m.Revoked, strings.ToLower(sum))
	}
	b := j.before
	if b == nil {
		if m.Serial == 0 {
			m.Serial = 1
		}
	} else if err := j.compare(m, *b); err != nil {
		return err
	}
	slices.Sort(m.Revoked)
	m.Revoked = slices.Compact(m.Revoked)
	for _, f := range m.Files {
		if sum := programSum(f); !m.Paused && slices.Contains(m.Revoked, sum) {
			return refuse("%s is revoked (SHA-256 %.8s): publish another version, or a paused one", f.File, sum)
		}
	}
	if n := len(m.Waves); n > 0 && m.Waves[n-1].Share < 1 {
		j.note("the waves end with %g %% of the hosts: the others wait for another release", m.Waves[n-1].Share*100)
	}
	return nil
}

// compare looks at a manifest beside the one before it.
func (j *job) compare(m *release.Manifest, b release.Manifest) error {
	if !j.Sums {
		m.Revoked = append(m.Revoked, b.Revoked...) // a host can have missed the manifests between
	}
	switch {
	case m.Serial == 0 && b.Serial == math.MaxInt64:
		return refuse("there is no serial after %d", b.Serial)
	case m.Serial == 0:
		m.Serial = b.Serial + 1
	case m.Serial < b.Serial:
		return refuse("serial %d is lower than that of %s %s, %d: hosts would take it for an old release", m.Serial, b.Name, b.Version, b.Serial)
	}
	if m.Time.Before(b.Time) {
		j.note("by this machine's clock it is before %s, when %s was published; is it right?", b.Time.Format(time.RFC3339), b.Version)
	}
	for _, old := range b.Files {
		i := slices.IndexFunc(m.Files, func(f release.File) bool { return f.OS == old.OS && f.Arch == old.Arch })
		if i < 0 {
			j.note("%s has no file for %s/%s, and %s had one", m.Version, old.OS, old.Arch, b.Version)
			continue
		}
		was, is := programSum(old), programSum(m.Files[i])
		same := was == is
		if was == "" || is == "" {
			was, is, same = old.SHA256, m.Files[i].SHA256, old.SHA256 == m.Files[i].SHA256
		}
		switch {
		case m.Version == b.Version && !same:
			return refuse("%s for %s/%s was %.8s, and is %.8s: a version never gets another content, so publish a new version", m.Version, old.OS, old.Arch, was, is)
		case m.Version != b.Version && same:
			j.note("%s has the same program for %s/%s as %s", m.Version, old.OS, old.Arch, b.Version)
		}
	}
	return nil
}

// publish gives the files their names, and then replaces the manifest.
func (j *job) publish(m release.Manifest) (r Result, err error) {
	name := manifestFile
	if j.Sums {
		name = sumsFile
	}
	r = Result{File: j.out.at(name)}
	if b := j.before; b != nil && m.Serial == b.Serial {
		if r.Manifest, r.Unchanged = *b, j.sameAs(m, *b); !r.Unchanged {
			return r, refuse("serial %d is published already, with something else", m.Serial)
		}
		return r, nil
	}
	raw, err := j.encode(m)
	if err != nil {
		return r, err
	}
	sig, err := j.Key.signed(raw, m)
	if err != nil {
		return r, err
	}
	r.Manifest = m
	j.done("copied")
	for _, f := range m.Files {
		temp := j.temps[f.File]
		if temp == "" {
			continue // it is offered again
		}
		if _, err := os.Lstat(j.out.at(f.File)); err == nil {
			continue // the same bytes, or the same program
		}
		if err := os.Rename(j.out.at(temp), j.out.at(f.File)); err != nil {
			return r, err
		}
		delete(j.temps, f.File)
		j.done(f.File)
	}
	if err := syncDir(j.Out); err != nil {
		return r, err
	}
	return r, j.out.offer(name, raw, sig, j.done)
}

// sameAs reports whether nothing would change. A SHA256SUMS does not have all that is known of the files.
func (j *job) sameAs(m, b release.Manifest) bool {
	if j.Sums {
		m.Files = slices.Clone(m.Files)
		for i := range m.Files {
			m.Files[i].Size, m.Files[i].Unpacked = 0, nil
		}
	}
	m.Time, b.Time = time.Time{}, time.Time{}
	return reflect.DeepEqual(m, b)
}

// encode returns the manifest as it is signed.
func (j *job) encode(m release.Manifest) ([]byte, error) {
	var b bytes.Buffer
	if !j.Sums {
		e := json.NewEncoder(&b)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		err := e.Encode(m)
		return b.Bytes(), err
	}
	for _, f := range m.Files {
		if os, arch := systemByName(m.Name, f.File); os != f.OS || arch != f.Arch {
			return nil, refuse("%s does not say for which system it is, in a way that a host reads in a %s: %s_%s_%s", f.File, sumsFile, m.Name, f.OS, f.Arch)
		}
		fmt.Fprintf(&b, "%s  %s\n", f.SHA256, f.File)
	}
	return b.Bytes(), nil
}
