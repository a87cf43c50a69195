package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
)

// The names in a store.
const (
	currentLink = "current"
	releasesDir = "releases"
	incomingDir = "incoming"
	stateFile   = "state.json"
	historyFile = "history.jsonl"
	lockFile    = "lock"
	stagedFile  = "staged.json" // in the directory of a release: a Release
)

// Store is the directory of one app, with its lock: as long as a Store is open, no other deploy of the app runs. Its
// methods are for one goroutine at a time.
type Store struct {
	dir      string // absolute, without symlinks
	program  string
	root     *os.Root
	lock     *os.File
	uid, gid int // to whom the directory belongs; what root writes there does, too
	now      func() time.Time

	stall, retryWait, poll time.Duration // tests have shorter ones
}

// Open returns the store of the program in a directory that exists, and takes its lock. The program is the name of its
// file, such as shop.
//
// The directory has to belong to this process's user. Root can open anybody's, and what it writes then belongs to the
// directory's owner. Each directory above has to belong to root or to that user, and nobody else may write there: he
// could replace what is deployed. A directory with the sticky bit, such as /tmp, can be above.
//
// The error wraps ErrBusy if another process has the lock, and says which one. It wraps ErrNotTried if the directory
// can't be used, core.ErrUnsupported on a system other than Linux, macOS and FreeBSD.
func Open(dir, program string) (*Store, error) {
	s, err := open(dir, program)
	if err != nil {
		return nil, printableError(err)
	}
	return s, nil
}

func open(dir, program string) (*Store, error) {
	if supported != nil {
		return nil, supported
	}
	if err := checkFileName(program); err != nil {
		return nil, fmt.Errorf("release: the program: %w", err)
	}
	s := &Store{program: program, now: time.Now, stall: stallAfter, retryWait: 200 * time.Millisecond, poll: lookEvery}
	var err error
	if s.dir, err = filepath.Abs(dir); err == nil {
		s.dir, err = filepath.EvalSymlinks(s.dir)
	}
	if err != nil {
		return nil, notNow("%w; make the directory, with a mode of 0755", err)
	}
	if err := s.checkOwners(); err != nil {
		return nil, err
	}
	if s.root, err = os.OpenRoot(s.dir); err != nil {
		return nil, notNow("%w", err)
	}
	if err := s.prepare(); err != nil {
		_ = s.root.Close()
		return nil, err
	}
	return s, nil
}

// prepare takes the lock and makes the directories.
func (s *Store) prepare() error {
	f, err := s.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return notNow("the lock: %w", err)
	}
	if err := s.takeLock(f); err != nil {
		_ = f.Close()
		return err
	}
	s.lock = f
	for dir, mode := range map[string]fs.FileMode{releasesDir: 0o755, incomingDir: 0o711} {
		if err := s.makeDir(dir, mode); err != nil {
			_ = f.Close()
			return notNow("%w", err)
		}
	}
	return nil
}

// makeDir makes a directory in the store unless it is there. Others can pass through incoming/, for the check of a
// program as another user; what is in there can't be listed, and a part can't be read.
func (s *Store) makeDir(name string, mode fs.FileMode) error {
	err := s.root.Mkdir(name, mode)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	fi, lerr := s.root.Lstat(name)
	switch {
	case lerr != nil:
		return lerr
	case !fi.IsDir():
		return fmt.Errorf("%s is no directory", s.at(name))
	case err == nil:
		return s.own(name, mode)
	}
	return checkOwner(s.at(name), fi, s.uid)
}

// own gives a file or a directory to the store's owner, and it gets this mode whatever the umask.
func (s *Store) own(name string, mode fs.FileMode) error {
	if os.Geteuid() != 0 {
		return s.root.Chmod(name, mode)
	}
	f, err := s.root.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := giveTo(f, s.uid, s.gid); err != nil {
		return err
	}
	return f.Chmod(mode) // behind chown, which takes bits away
}

// shared gives a file that everybody can read to the store's owner, whatever the umask.
func (s *Store) shared(f *os.File) error {
	if err := giveTo(f, s.uid, s.gid); err != nil {
		return err
	}
	return f.Chmod(0o644)
}

// Close releases the lock. It does so before it closes the file, because a process that is forked at that moment holds
// a copy until it has executed its program.
func (s *Store) Close() error {
	return errors.Join(unlock(s.lock), s.lock.Close(), s.root.Close())
}

// Dir returns the directory, absolute and without symlinks.
func (s *Store) Dir() string { return s.dir }

// Program returns the path from which the app is started: the program below current.
func (s *Store) Program() string { return s.at(currentLink, s.program) }

// at returns a path in the store for messages, and for what is not done by s.root.
func (s *Store) at(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// sync makes a file or a directory durable.
func (s *Store) sync(name string) error {
	f, err := s.root.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := f.Sync(); err != nil {
		return err
	}
	step("sync " + name)
	return nil
}

// checkOwners looks at the store's directory and at each one above it.
func (s *Store) checkOwners() error {
	fi, err := os.Lstat(s.dir)
	if err != nil {
		return notNow("%w", err)
	}
	if !fi.IsDir() {
		return notNow("%s is no directory", s.dir)
	}
	s.uid, s.gid = ownerOf(fi)
	if me := os.Geteuid(); me != 0 && s.uid != me {
		return notNow("%s belongs to user %d, and this is user %d: deploy as that user, or as root", s.dir, s.uid, me)
	}
	for dir := s.dir; ; dir = filepath.Dir(dir) {
		fi, err := os.Lstat(dir)
		if err != nil {
			return notNow("%w", err)
		}
		if err := checkOwner(dir, fi, s.uid); err != nil {
			return notNow("%w", err)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// checkOwner refuses a directory that somebody else than root and the store's owner can change.
func checkOwner(dir string, fi fs.FileInfo, uid int) error {
	if owner, _ := ownerOf(fi); owner != 0 && owner != uid {
		return fmt.Errorf("%s belongs to user %d, who could replace what is deployed: chown %d %s", dir, owner, uid, dir)
	}
	if fi.Mode().Perm()&0o022 != 0 && fi.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("%s can be written by others (mode %v), who could replace what is deployed: chmod go-w %s", dir, fi.Mode(), dir)
	}
	return nil
}

// holder is what the lock's file says about who has it.
type holder struct {
	Command string    `json:"command"`
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
}

// takeLock ends with the process, however that ends. The descriptor is close-on-exec, so that no program that is
// started meanwhile keeps it.
func (s *Store) takeLock(f *os.File) error {
	taken, err := flock(f)
	if err != nil {
		return notNow("the lock %s: %w", s.at(lockFile), err)
	}
	if taken {
		return fmt.Errorf("%w%s", ErrBusy, whoHolds(f, s.now()))
	}
	b, err := json.Marshal(holder{commandLine(), os.Getpid(), s.now().UTC()})
	if err == nil {
		err = s.shared(f)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(append(b, '\n'), 0)
	}
	if err != nil {
		return notNow("the lock: %w", err)
	}
	return nil
}

// whoHolds says what the file of a lock says, such as ": gracex deploy, pid 4711, since 3s".
func whoHolds(f *os.File, now time.Time) string {
	var h holder
	b, err := io.ReadAll(io.LimitReader(f, maxText))
	if err != nil || json.Unmarshal(b, &h) != nil || h.PID == 0 { // it is being written
		return ""
	}
	return fmt.Sprintf(": %s, pid %d, since %v", h.Command, h.PID, max(now.Sub(h.Since), 0).Round(time.Second))
}

// commandLine is the program and its subcommand. More is not said, because an argument can be a secret.
func commandLine() string {
	words := []string{filepath.Base(os.Args[0])}
	if len(os.Args) > 1 && os.Args[1] != "" && strings.IndexFunc(os.Args[1], func(r rune) bool { return !unicode.IsLower(r) }) < 0 {
		words = append(words, os.Args[1])
	}
	return strings.Join(words, " ")
}

// Current returns the release that the next start gets; empty if there is none.
func (s *Store) Current() string { return currentOf(s.root) }

func currentOf(root *os.Root) string {
	l, err := root.Readlink(currentLink)
	if err != nil {
		return ""
	}
	dir, id := filepath.Split(l)
	if filepath.Clean(dir) != releasesDir || !isID(id) {
		return "" // somebody else has made it
	}
	return id
}

// flip is the only thing that changes what the next start gets: one rename.
func (s *Store) flip(id string) error {
	if fi, err := s.root.Stat(filepath.Join(releasesDir, id, s.program)); err != nil || !fi.Mode().IsRegular() {
		return notNow("%s can't become current: %s is not there", id, s.at(releasesDir, id, s.program))
	}
	if fi, err := s.root.Lstat(currentLink); err == nil && fi.Mode()&fs.ModeSymlink == 0 {
		return notNow("%s is no symlink; move it away", s.at(currentLink))
	}
	if err := replaceLink(s.root, filepath.Join(releasesDir, id), currentLink); err != nil { // relative, so that the tree can be moved
		return notNow("current: %w", err)
	}
	if err := s.sync("."); err != nil {
		return notNow("current: %w", err)
	}
	return nil
}
