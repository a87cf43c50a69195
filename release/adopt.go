package release

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// Adopt makes the first release of a plain file: the program in the store's directory, from which the app was started
// so far. The file is not copied, and the app goes on. Its path leads to the current release from then on, so that
// neither a unit file nor a command line has to change.
//
// It refuses if the app of c runs another file, because then nobody knows whether this one works. c is nil, or nobody
// answers, if no app runs. The version is that of StageFile. What was adopted already is no error. A call that was
// killed can be repeated.
func (s *Store) Adopt(ctx context.Context, c *control.Client, version string, events func(Event)) (Release, error) {
	r, err := s.adopt(ctx, s.appOf(c), version, events)
	return r, printableError(err)
}

func (s *Store) adopt(ctx context.Context, a app, version string, events func(Event)) (Release, error) {
	link := filepath.Join(currentLink, s.program)
	fi, err := s.root.Lstat(s.program)
	if err == nil && fi.Mode()&fs.ModeSymlink != 0 {
		if to, err := s.root.Readlink(s.program); err == nil && filepath.Clean(to) == link && s.Current() != "" {
			return s.staged(s.Current())
		}
		return Release{}, notNow("%s is a symlink that does not lead to %s", s.at(s.program), link)
	}
	if err != nil {
		return Release{}, notNow("%w", err)
	}
	if err := s.ground(); err != nil {
		return Release{}, err
	}
	if err := s.trusted(s.at(s.program), fi); err != nil {
		return Release{}, err
	}
	if current := s.Current(); current != "" { // an earlier call was killed
		if now, err := s.root.Stat(link); err != nil || !os.SameFile(now, fi) {
			return Release{}, notNow("%s is current, and %s is another file", current, s.at(s.program))
		}
	} else if err := s.adoptFile(ctx, a, fi, version, events); err != nil {
		return Release{}, err
	}
	if err := replaceLink(s.root, link, s.program); err != nil {
		return Release{}, notNow("%w", err)
	}
	if err := s.sync("."); err != nil {
		return Release{}, notNow("%w", err)
	}
	step("linked")
	return s.staged(s.Current())
}

// adoptFile makes a release of the file, and has current name it.
func (s *Store) adoptFile(ctx context.Context, a app, fi fs.FileInfo, version string, events func(Event)) error {
	if a != nil {
		if err := s.runsFile(ctx, a, fi); err != nil {
			return err
		}
	}
	if version == "" {
		version = versionOf(s.at(s.program), fi.ModTime())
	} else if err := checkWord("version", version); err != nil {
		return refuse("%w", err)
	}
	if _, err := inspect(s.at(s.program), "", false); err != nil {
		return refuse("%s: %w", s.at(s.program), err)
	}
	sum, size, err := s.hash(s.program)
	if err != nil {
		return notNow("%w", err)
	}
	r := Release{ID: idOf(version, sum), Version: version, SHA256: sum, Size: size, Source: "adopted", Staged: s.now().UTC().Truncate(time.Second)}
	dir := filepath.Join(incomingDir, "new-"+sum[:16])
	if err := s.makeDir(dir, 0o755); err != nil {
		return notNow("%w", err)
	}
	if err := s.root.Link(s.program, filepath.Join(dir, s.program)); err != nil {
		return notNow("%w", err)
	}
	if err := s.root.Chmod(filepath.Join(dir, s.program), 0o555); err != nil { // its capabilities and its owner stay
		return notNow("%w", err)
	}
	j := s.job(StageOptions{}, r.Source, events)
	if err := j.settle(r, arrival{}, dir); err != nil {
		return err
	}
	step("staged")
	st, err := s.State()
	if err != nil {
		return err
	}
	st.Trial = &Trial{Release: r, Since: s.now().UTC(), Passed: true}
	st.passed(*st.Trial)
	if err := s.save(st); err != nil {
		return err
	}
	step("good")
	return s.trial(events, "adopt", r).makeCurrent(st, "a plain file was adopted")
}

// runsFile refuses if the app runs, and runs another file.
func (s *Store) runsFile(ctx context.Context, a app, fi fs.FileInfo) error {
	runs, err := a.status(ctx)
	switch {
	case err != nil && noApp(err):
		return nil
	case err != nil:
		return err
	case runs.settling:
		return notNow("an upgrade is in progress, or on probation: adopt its program when that is over")
	}
	exe := programOf(runs.pid)
	if exe == nil {
		return notNow("it can't be seen which file process %d runs; adopt as its user, or as root", runs.pid)
	}
	if !os.SameFile(exe, fi) {
		return notNow("process %d runs another file than %s: upgrade it first, so that it is known that the file works", runs.pid, s.at(s.program))
	}
	return nil
}
