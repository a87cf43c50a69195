package release

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"

	"github.com/gracex-go/gracex/release/internal/digest"
)

// arrival is a file that is in incoming/, with what is known about it.
type arrival struct {
	Release                    // without what is not known yet: the SHA-256 and the size of a program in an archive
	file     File              //
	part     string            // in the store
	evidence map[string][]byte // files beside the program, as they were verified
	like     string            // path of the program that the next start gets; empty for none
}

// arrive makes a release of a file in incoming/.
func (j *job) arrive(ctx context.Context, in arrival) (Release, error) {
	dir := filepath.Join(incomingDir, "new-"+in.file.SHA256[:16])
	if err := j.root.RemoveAll(dir); err != nil {
		return Release{}, notNow("%w", err)
	}
	if err := j.makeDir(dir, 0o755); err != nil {
		return Release{}, notNow("%w", err)
	}
	r, err := j.build(ctx, in, dir)
	if err == nil {
		return r, nil
	}
	_ = j.root.RemoveAll(dir)
	if errors.Is(err, ErrNotAccepted) || isDiskFull(err) {
		_ = j.root.Remove(in.part) // what is wrong is not resumed
	}
	return Release{}, err
}

func (j *job) build(ctx context.Context, in arrival, dir string) (Release, error) {
	program := filepath.Join(dir, j.program)
	if err := j.extract(in, program); err != nil {
		return Release{}, err
	}
	r := in.Release
	// Before the hash is taken: the kernel takes capabilities away from a file that is written to.
	if err := j.handOver(in.like, program); err != nil {
		return r, err
	}
	sum, size, err := j.hash(program)
	if err != nil {
		return r, notNow("%w", err)
	}
	if r.SHA256 != "" && (sum != r.SHA256 || r.Size > 0 && size != r.Size) {
		return r, refuse("the program has %d bytes with SHA-256 %s, and the manifest says %d with %s", size, sum, r.Size, r.SHA256)
	}
	r.SHA256, r.Size = sum, size
	r.ID = idOf(r.Version, sum)
	j.id = r.ID
	st, err := j.State()
	if err != nil {
		return r, err
	}
	if err := j.allowed(st, r); err != nil { // of an archive it is known only now
		return r, err
	}
	if err := j.usable(ctx, program, in.like, sum); err != nil {
		return r, err
	}
	step("checked")
	if err := j.settle(r, in, dir); err != nil {
		return r, err
	}
	if r.Signer != "" && st.Known[r.Version] != r.SHA256 {
		st.Known[r.Version] = r.SHA256
		if err := j.save(st); err != nil {
			return r, err
		}
	}
	_ = j.root.Remove(in.part)
	step("staged")
	j.tell(Event{Kind: EventStaged})
	return r, nil
}

// extract puts the program at its place in the new directory.
func (j *job) extract(in arrival, program string) error {
	if packing(in.file.File) == packedNot {
		if err := j.root.Rename(in.part, program); err != nil {
			return notNow("%w", err)
		}
		return nil
	}
	limit := j.MaxSize
	if in.file.Unpacked != nil {
		limit = in.file.Unpacked.Size
	}
	from, err := j.root.Open(in.part)
	if err != nil {
		return notNow("%w", err)
	}
	defer func() { _ = from.Close() }()
	to, err := j.root.OpenFile(program, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return notNow("%w", err)
	}
	err = unpack(from, in.file.File, j.program, to, limit)
	if cerr := to.Close(); err == nil && cerr != nil {
		err = &writeError{cerr}
	}
	if err != nil && !errors.Is(err, ErrNotAccepted) {
		return notNow("%w", err)
	}
	return err
}

// hash reads what is on the disk.
func (s *Store) hash(name string) (sum string, size int64, err error) {
	f, err := s.root.Open(name)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = f.Close() }()
	return digest.Copy(context.Background(), io.Discard, f)
}

// usable looks at a program as closely as is possible before it runs.
func (j *job) usable(ctx context.Context, program, like, sum string) error {
	info, err := inspect(j.at(program), like, j.OtherProgram)
	if err != nil {
		return refuse("%s: %w", j.program, err)
	}
	if err := sameRights(like, j.at(program)); err != nil {
		return err
	}
	if len(j.Check) > 0 {
		user := j.CheckUser
		if user == "" && os.Geteuid() == 0 {
			user = strconv.Itoa(j.uid) // root does not run what is another user's
		}
		if err := check(ctx, j.Check, user, j.at(program)); err != nil {
			return err
		}
	}
	j.tell(Event{Kind: EventVerified, Text: fmt.Sprintf("SHA-256 %.8s..., %s/%s, %s, %s", sum, runtime.GOOS, runtime.GOARCH, info.Main.Path, info.GoVersion)})
	return nil
}

// handOver gives a new program to the store's owner, with the capabilities of the one that runs, such as that for port
// 80. Only root can give these. The store can be another user's, who can switch what is at a path at any time: so they
// come from a file that is in the store, go to a file that root has written and nobody else can have open, and that
// stays root's.
func (j *job) handOver(like, program string) error {
	caps, err := j.likeCapabilities(like)
	if err != nil {
		return notNow("the file capabilities of %s: %w", like, err)
	}
	if caps == nil {
		if err := j.own(program, 0o555); err != nil {
			return notNow("%w", err)
		}
		return nil
	}
	f, err := j.root.Open(program)
	if err != nil {
		return notNow("%w", err)
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return notNow("%w", err)
	}
	if uid, _ := ownerOf(fi); uid != 0 || linksOf(fi) != 1 || !fi.Mode().IsRegular() {
		return notNow("%s is not what was written there: user %d has changed it", j.at(program), j.uid)
	}
	if err = f.Chmod(0o555); err == nil {
		err = setCapabilities(f, caps)
	}
	if err != nil {
		return notNow("the file capabilities of %s: %w", j.at(program), err)
	}
	return nil
}

// likeCapabilities are those of a file in the store; nil for none, and if this is not root.
func (j *job) likeCapabilities(like string) ([]byte, error) {
	if like == "" || os.Geteuid() != 0 {
		return nil, nil
	}
	name, err := filepath.Rel(j.dir, like)
	if err != nil {
		return nil, err
	}
	f, err := j.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return capabilitiesOf(f)
}

// sameRights refuses a program that would run with other rights than the one before it.
func sameRights(like, program string) error {
	fi, err := os.Lstat(program)
	if err != nil {
		return notNow("%w", err)
	}
	if !fi.Mode().IsRegular() || fi.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		return refuse("%s is no plain file (mode %v)", program, fi.Mode())
	}
	if like == "" {
		return nil
	}
	old, err := os.Stat(like)
	if err != nil {
		return notNow("%w", err)
	}
	if old.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		return refuse("what runs, %s, is setuid or setgid (mode %v), and a release is not: give it file capabilities, or start it as that user", like, old.Mode())
	}
	had, err := capabilities(like)
	if err != nil {
		return notNow("the file capabilities of %s: %w", like, err)
	}
	has, err := capabilities(program)
	if err != nil {
		return notNow("the file capabilities of %s: %w", program, err)
	}
	if !bytes.Equal(had, has) {
		return refuse("what runs, %s, has file capabilities, and only root can give them to the new one: deploy as root, or give them to the service instead (AmbientCapabilities= of systemd)", like)
	}
	return nil
}

// settle makes a release durable before anything can refer to it. The mode comes before the sync, and both directories
// of a rename are synced: else a power failure can leave a release without its program, or a program that can't run.
func (j *job) settle(r Release, in arrival, dir string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	files := map[string][]byte{stagedFile: append(b, '\n')}
	for name, b := range in.evidence {
		files[name] = b
	}
	names := []string{j.program}
	for name, b := range files {
		if err := j.write(filepath.Join(dir, name), b); err != nil {
			return notNow("%w", err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range append(names, ".") {
		if err := j.sync(filepath.Join(dir, name)); err != nil {
			return notNow("%w", err)
		}
	}
	step("synced")
	to := filepath.Join(releasesDir, r.ID)
	if _, err := j.root.Lstat(to); err == nil { // a broken one, which nobody has taken for a release
		if j.Current() == r.ID {
			return notNow("%s is current, and is not a whole release: deploy another one", r.ID)
		}
		if err := j.remove(r.ID); err != nil {
			return err
		}
	}
	if err := j.root.Rename(dir, to); err != nil {
		return notNow("%w", err)
	}
	if err := errors.Join(j.sync(releasesDir), j.sync(incomingDir)); err != nil {
		return notNow("%w", err)
	}
	return nil
}

// write writes a file of evidence.
func (s *Store) write(name string, b []byte) error {
	f, err := s.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = s.own(name, 0o444)
	}
	return err
}
