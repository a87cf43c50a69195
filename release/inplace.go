package release

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// What an InPlace has beside the program while it goes on.
const (
	oldSuffix  = ".gracex-old" // the program that ran before
	newSuffix  = ".gracex-new" // that is written
	lockSuffix = ".gracex-lock"
)

// InPlace is a deploy for an app that runs from a plain file. It puts the program at from there, by a rename, has the
// app upgrade itself, and puts the old file back if that is not good. In between, and if it is killed then, a crash or a
// boot starts the new program, proven or not. The next call puts that in order. A [Store] has no such moment, and
// [Store.Adopt] makes one of the plain file.
//
// From the options it takes OtherProgram, Check and CheckUser. The errors are those of [Store.StageFile] and
// [Store.Try]. The error is nil if the outcome is known, even if that is not OK. events may be nil.
func InPlace(ctx context.Context, c *control.Client, from string, o StageOptions, events func(Event)) (control.Outcome, error) {
	out, err := inPlace(ctx, c, from, o, events)
	return out, printableError(err)
}

func inPlace(ctx context.Context, c *control.Client, from string, o StageOptions, events func(Event)) (out control.Outcome, err error) {
	if supported != nil {
		return out, supported
	}
	st, err := c.Status(ctx)
	if err != nil {
		return out, err
	}
	p := &inPlaceFile{path: st.Program, old: beside(st.Program, oldSuffix), events: events}
	fi, err := os.Lstat(p.path)
	switch {
	case settling(st):
		return out, fmt.Errorf("%w: an upgrade is in progress, or on probation; its outcome comes first", control.ErrRefused)
	case st.Elsewhere():
		return out, notNow("the app is in another pid namespace, such as a container's: deploy from inside it")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return out, notNow("%w", err)
	case isReleased(p.path): // the program of a release that is proven would become another one
		return out, notNow("%s is the program of a release: deploy without --in-place", p.path)
	case err == nil && !fi.Mode().IsRegular():
		return out, notNow("%s is no plain file: deploy without --in-place, or switch the symlink by yourself", p.path)
	}
	unlock, err := lockFor(p.path)
	if err != nil {
		return out, err
	}
	defer unlock()
	if err := p.recover(st.PID); err != nil {
		return out, err
	}
	if err := p.look(ctx, from, o); err != nil {
		return out, err
	}
	if err := p.swap(from); err != nil {
		return out, err
	}
	step("swapped")
	p.tell(Event{Kind: EventTrying, Text: fmt.Sprintf("process %d is asked; %s is the new program meanwhile", st.PID, p.path)})
	var seen probation
	out, err = c.Upgrade(ctx, control.UpgradeOptions{Events: func(e control.Event) {
		seen.step(e)
		p.tell(Event{Kind: EventStep, Step: &e})
		step(e.Step)
	}})
	switch {
	case out.OK && seen.wasCut():
		out, err = control.Outcome{}, notNow("process %d was asked to stop during the probation, so that is not over, and the next start gets the old program: deploy again", st.PID)
	case out.OK:
		p.tell(Event{Kind: EventCurrent, Text: p.path})
		return out, p.drop()
	case out.Kind == "" && !wasNotAsked(err):
		return out, fmt.Errorf("what becomes of the upgrade is not known; the old program is %s, and the next deploy puts that in order: %w", p.old, err)
	}
	if back := p.back(); back != nil {
		return out, fmt.Errorf("the old program can't be put back: %w; it is %s", back, p.old)
	}
	step("restored")
	if out.NextStart != "" {
		out.NextStart = fmt.Sprintf("the old program is at %s again, and is what the next start gets", p.path)
	}
	return out, err
}

// isReleased reports whether a program is started from a release.
func isReleased(path string) bool {
	_, _, err := Locate(path)
	return err == nil
}

// inPlaceFile is the program of an app.
type inPlaceFile struct {
	path, old string
	events    func(Event)
}

func (p *inPlaceFile) tell(e Event) {
	if p.events != nil {
		e.Time, e.Text = time.Now(), printable(e.Text)
		p.events(e)
	}
}

// beside is a hidden file in the directory of another one.
func beside(path, suffix string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+suffix)
}

// lockFor has no other InPlace of this program run.
func lockFor(path string) (unlock func(), err error) {
	f, err := openNoFollow(beside(path, lockSuffix), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, notNow("%w", err)
	}
	step("lock")
	taken, err := flock(f)
	if err == nil && !taken {
		// Who had it can have removed it since it was opened, and then a third one has another file.
		mine, serr := f.Stat()
		now, lerr := os.Lstat(f.Name())
		taken = serr != nil || lerr != nil || !os.SameFile(mine, now)
	}
	if err == nil && taken {
		err = ErrBusy
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() {
		_ = os.Remove(f.Name())
		_ = f.Close()
	}, nil
}

// look refuses what can't be good, before anything is changed.
func (p *inPlaceFile) look(ctx context.Context, from string, o StageOptions) error {
	like := p.path
	if _, err := os.Stat(like); err != nil {
		like = ""
	} else if _, err := buildinfo.ReadFile(like); err != nil && !errors.Is(err, fs.ErrPermission) && !o.OtherProgram {
		return refuse("%s, from which the app is started, is no Go program: replace what it starts, by yourself; --rename replaces it", like)
	}
	info, err := inspect(from, like, o.OtherProgram)
	if err != nil {
		return refuse("%s: %w", from, err)
	}
	if len(o.Check) > 0 {
		if err := check(ctx, o.Check, o.CheckUser, from); err != nil {
			return err
		}
	}
	p.tell(Event{Kind: EventVerified, Text: fmt.Sprintf("%s, %s", info.Main.Path, info.GoVersion)})
	return nil
}

// swap puts a copy of the new program in place. The old one has another name then.
func (p *inPlaceFile) swap(from string) error {
	f, err := os.CreateTemp(filepath.Dir(p.path), "."+filepath.Base(p.path)+newSuffix)
	if err != nil {
		return notNow("%w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	err = p.fill(f, from)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Link(p.path, p.old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return notNow("%w", err)
	}
	if err := os.Rename(f.Name(), p.path); err != nil {
		return notNow("%w", errors.Join(err, p.drop()))
	}
	return syncDir(filepath.Dir(p.path))
}

// fill makes f the new program, with the owner, the mode and the capabilities of the old one.
func (p *inPlaceFile) fill(f *os.File, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return notNow("%w", err)
	}
	defer func() { _ = in.Close() }()
	if _, err := io.Copy(f, in); err != nil {
		return notNow("%w", err)
	}
	mode, like := fs.FileMode(0o755), ""
	var caps []byte
	if old, err := openPlain(p.path); err == nil {
		defer func() { _ = old.Close() }()
		fi, err := old.Stat()
		if err == nil && os.Geteuid() == 0 {
			caps, err = capabilitiesOf(old)
		}
		if err != nil {
			return notNow("%w", err)
		}
		mode, like = fi.Mode().Perm(), p.path
		if caps == nil { // else it stays root's: whose directory it is could write to it before it has them
			uid, gid := ownerOf(fi)
			if err := giveTo(f, uid, gid); err != nil {
				return notNow("%w", err)
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return notNow("%w", err)
	}
	if err := f.Chmod(mode); err != nil {
		return notNow("%w", err)
	}
	if caps != nil {
		if err := setCapabilities(f, caps); err != nil {
			return notNow("the file capabilities of %s: %w", p.path, err)
		}
	}
	if err := sameRights(like, f.Name()); err != nil {
		return err
	}
	return f.Sync()
}

// openPlain opens a plain file, and follows no symlink.
func openPlain(path string) (*os.File, error) {
	f, err := openNoFollow(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		_ = f.Close()
		return nil, errors.Join(err, fmt.Errorf("%s is no plain file", path))
	}
	return f, nil
}

// back puts the old program in its place again.
func (p *inPlaceFile) back() error {
	if err := os.Rename(p.old, p.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(p.path))
}

// drop forgets the old program.
func (p *inPlaceFile) drop() error {
	if err := os.Remove(p.old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return notNow("%w", err)
	}
	return nil
}

// recover puts in order what a deploy has left that was killed: the program that runs is the one that is at the path.
func (p *inPlaceFile) recover(pid int) error {
	old, err := os.Stat(p.old)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return notNow("%w", err)
	}
	exe := programOf(pid)
	switch now, err := os.Stat(p.path); {
	case exe == nil:
		return notNow("an earlier deploy was cut short, and it can't be seen which program process %d runs: as its user, or as root, remove %s if it runs %s, or move it there", pid, p.old, p.path)
	case err == nil && os.SameFile(now, old):
		return p.drop()
	case os.SameFile(exe, old):
		p.tell(Event{Kind: EventRecovered, Text: fmt.Sprintf("an earlier deploy was cut short; the program that runs is at %s again", p.path)})
		return p.back()
	}
	p.tell(Event{Kind: EventRecovered, Text: "an earlier deploy was cut short, and its program runs"})
	return p.drop()
}

// syncDir makes a rename durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return f.Sync()
}
