package release

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// ErrHeld is an ErrNotTried: followers are held, by [Store.Back] or [Store.Hold].
var ErrHeld = fmt.Errorf("%w: held", ErrNotTried)

const (
	// DefaultReserve is how much of the disk stays free, in bytes.
	DefaultReserve = 64 << 20
	// DefaultMaxSize bounds a file whose size is not signed, in bytes.
	DefaultMaxSize = 1 << 30
)

// StageOptions say what is accepted. The zero StageOptions are those of a deploy by hand.
type StageOptions struct {
	// Tag is that of an Offer which is known already. Stage returns ErrUnchanged if the source still has it.
	Tag string

	Again        bool // accepts a program that was taken back before
	Older        bool // accepts a serial that is older than one that has passed its probation, and a version with other bytes
	OtherProgram bool // accepts another main module than that of what runs
	Follow       bool // nobody has asked for this release: a hold is obeyed

	// Allow has the last word before anything is fetched, for waves and windows. It may be nil.
	Allow func(Manifest) error

	// Check is a command that looks at the program before it is used, such as {"{}", "-check-config"}. "{}" stands for
	// the program's path, and the path is last if it is nowhere. It has 30 s, and an environment of its own with PATH
	// and GRACEX_CHECK=1. CheckUser is the user that runs it, by name or number; empty: the store's owner. nil: no check.
	Check     []string
	CheckUser string

	Reserve int64 // how much of the disk stays free, in bytes; 0: DefaultReserve, negative: all can be used
	MaxSize int64 // bounds a file and a program whose size is not signed, in bytes; 0: DefaultMaxSize
}

// Stage brings the release that a source offers to releases/: fetched, checked without running it, and durable. Nothing
// refers to it yet. A release that is there already is checked anew, and not fetched.
//
// The error wraps ErrUnchanged, ErrNotAccepted, ErrNotTried or ErrHeld, or the context's. Nothing that runs and nothing
// that starts next was changed then. events may be nil.
func (s *Store) Stage(ctx context.Context, src Source, t Trust, o StageOptions, events func(Event)) (Release, error) {
	j := s.job(o, src.String(), events)
	r, err := j.stage(ctx, src, t)
	return r, j.end(err)
}

// job is one release on its way to releases/.
type job struct {
	*Store
	StageOptions
	source string
	events func(Event)
	id     string // once it is known
}

func (s *Store) job(o StageOptions, source string, events func(Event)) *job {
	if o.Reserve == 0 {
		o.Reserve = DefaultReserve
	}
	if o.MaxSize <= 0 {
		o.MaxSize = DefaultMaxSize
	}
	return &job{Store: s, StageOptions: o, source: printable(source), events: events}
}

// tell reports a step.
func (j *job) tell(e Event) { j.Store.tell(j.events, j.id, e) }

func (s *Store) tell(events func(Event), id string, e Event) {
	if events == nil {
		return
	}
	e.Time = s.now()
	if e.Release == "" {
		e.Release = id
	}
	e.Text = printable(e.Text)
	events(e)
}

// end reports why there is no release, if there is none.
func (j *job) end(err error) error {
	err = printableError(err)
	switch {
	case err == nil:
	case errors.Is(err, ErrUnchanged):
		j.tell(Event{Kind: EventUnchanged})
	case errors.Is(err, ErrHeld):
		j.tell(Event{Kind: EventHeld, Text: err.Error()})
	case errors.Is(err, ErrNotAccepted):
		j.tell(Event{Kind: EventRefused, Text: err.Error()})
		if !j.Follow { // which would write the same line each time it asks
			j.record(Entry{Action: "refuse", Release: j.id, Source: j.source, Outcome: "not accepted", Text: err.Error()})
		}
	}
	return err
}

// record writes to the history. What was done is done, also if it can't be written down.
func (j *job) record(e Entry) { j.Store.record(j.events, e) }

func (s *Store) record(events func(Event), e Entry) {
	if err := s.note(e); err != nil {
		s.tell(events, e.Release, Event{Kind: EventWarning, Text: fmt.Sprintf("the history could not be written: %v", err)})
	}
}

func (j *job) stage(ctx context.Context, src Source, t Trust) (r Release, err error) {
	if err := j.ground(); err != nil {
		return r, err
	}
	offer, m, signer, err := offered(ctx, src, t, j.Tag)
	if err != nil {
		return r, err
	}
	step("manifest")
	j.tell(Event{Kind: EventOffered, Text: offeredText(m, signer)})
	st, err := j.heard(m)
	if err != nil {
		return r, err
	}
	if err := j.timely(st, m); err != nil {
		return r, err
	}
	f, err := m.For(runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return r, err
	}
	r = Release{Version: m.Version, Serial: m.Serial, Source: j.source, Signer: signer, Staged: j.now().UTC().Truncate(time.Second)}
	switch {
	case packing(f.File) == packedNot:
		r.SHA256, r.Size = f.SHA256, f.Size
	case f.Unpacked != nil:
		r.SHA256, r.Size, r.Packed = f.Unpacked.SHA256, f.Unpacked.Size, f.SHA256
	default:
		r.Packed = f.SHA256
	}
	if err := j.allowed(st, r); err != nil {
		return Release{}, err
	}
	if j.Allow != nil {
		if err := j.Allow(m); err != nil {
			return Release{}, err
		}
	}
	in := arrival{Release: r, file: f, evidence: evidence(offer, signer), like: j.like()}
	if old, ok, err := j.there(ctx, in); err != nil || ok {
		return old, err
	}
	if err := j.room(f); err != nil {
		return Release{}, err
	}
	get := transfer{s: j.Store, src: src, file: f, limit: j.MaxSize, report: j.tell}
	if err := get.fetch(ctx); err != nil {
		return Release{}, fromSource(err)
	}
	step("downloaded")
	in.part = get.name()
	return j.arrive(ctx, in)
}

// offered is what the source has, if it is genuine. A manifest and its signature are two files at most sources: one
// that was published between the two requests is asked for once more.
func offered(ctx context.Context, src Source, t Trust, tag string) (o Offer, m Manifest, signer string, err error) {
	for range 2 {
		if o, err = src.Head(ctx, tag); err != nil {
			return o, m, "", fromSource(err)
		}
		m, signer, err = t.verify(ctx, o)
		if !errors.Is(err, errUnsigned) {
			break
		}
	}
	return o, m, signer, err
}

// fromSource has every error of a source wrap one by which the caller knows what to do.
func fromSource(err error) error {
	for _, known := range []error{ErrUnchanged, ErrNotTried, ErrNotAccepted, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return err
		}
	}
	return notNow("%w", err)
}

func offeredText(m Manifest, signer string) string {
	by := "not signed"
	if signer != "" {
		by = "signed by " + signer
	}
	return fmt.Sprintf("%s %s (serial %d), %s", m.Name, m.Version, m.Serial, by)
}

func evidence(o Offer, signer string) map[string][]byte {
	name := manifests[0]
	if b := o.Manifest; len(b) > 0 && firstByte(b) != '{' {
		name = manifests[1]
	}
	files := map[string][]byte{name: o.Manifest}
	if signer != "" {
		files[name+signatureExt] = o.Signature
	}
	return files
}

// ground looks at what would stop a deploy in the end, before anything is fetched.
func (s *Store) ground() error {
	for _, name := range []string{releasesDir, incomingDir} {
		if err := s.writable(name); err != nil {
			return err
		}
	}
	s.clean()
	return nil
}

func (s *Store) writable(name string) error {
	dir, err := s.root.Open(name)
	if err != nil {
		return notNow("%w", err)
	}
	defer func() { _ = dir.Close() }()
	if isNoexec(dir) {
		return notNow("no program in %s can be executed: the file system is mounted with noexec", s.at(name))
	}
	probe := filepath.Join(name, "probe")
	f, err := s.root.OpenFile(probe, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return notNow("%s can't be written: %w", s.at(name), err)
	}
	_ = f.Close()
	return s.root.Remove(probe)
}

// clean removes what earlier deploys have left in incoming/.
func (s *Store) clean() {
	dir, err := s.root.Open(incomingDir)
	if err != nil {
		return
	}
	defer func() { _ = dir.Close() }()
	entries, _ := dir.ReadDir(-1)
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil {
			continue
		}
		if checkSum("", e.Name()) != nil || s.now().Sub(fi.ModTime()) > partsKept {
			_ = s.root.RemoveAll(filepath.Join(incomingDir, e.Name()))
		}
	}
}

// room refuses what would fill the disk.
func (j *job) room(f File) error {
	if j.Reserve < 0 {
		return nil
	}
	dir, err := j.root.Open(incomingDir)
	if err != nil {
		return notNow("%w", err)
	}
	defer func() { _ = dir.Close() }()
	free, err := freeSpace(dir)
	if err != nil {
		return nil // a full disk is found out when it is written to
	}
	need := f.Size
	if fi, err := j.root.Lstat(filepath.Join(incomingDir, f.SHA256)); err == nil {
		need = max(0, need-fi.Size())
	}
	if f.Unpacked != nil {
		need += f.Unpacked.Size
	}
	if free < need+j.Reserve {
		return notNow("%s has %d MiB free, and %d MiB are needed, of which %d stay free: remove old releases, or lower the reserve",
			j.dir, free>>20, (need+j.Reserve+1<<20-1)>>20, j.Reserve>>20)
	}
	return nil
}

// heard keeps what a genuine manifest says about other releases, whether or not its own is used.
func (j *job) heard(m Manifest) (State, error) {
	st, err := j.State()
	if err != nil {
		return st, err
	}
	changed := false
	if m.Paused && m.Serial > st.Paused {
		st.Paused, changed = m.Serial, true
	}
	for _, sum := range m.Revoked {
		if _, known := st.Bad[sum]; !known {
			st.Bad[sum] = Bad{Release: m.Name, Reason: fmt.Sprintf("revoked by its publisher, in serial %d", m.Serial), Since: j.now().UTC()}
			changed = true
			j.tell(Event{Kind: EventBad, Text: "SHA-256 " + sum + " is revoked by its publisher"})
		}
	}
	if changed {
		return st, j.save(st)
	}
	return st, nil
}

// errExpired is for a release that this machine's clock has over.
var errExpired = errors.New("it has expired")

// timely says no to what is not to be started now, whatever it is.
func (j *job) timely(st State, m Manifest) error {
	h := st.Hold
	switch {
	case m.Paused || m.Serial <= st.Paused && !j.Older:
		return refuse("the publisher has halted releases up to serial %d; a later one goes on", max(m.Serial, st.Paused))
	case !m.Expires.IsZero() && j.now().After(m.Expires):
		return refuse("%w at %v, and this machine's clock says %v", errExpired, m.Expires.Format(time.RFC3339), j.now().UTC().Format(time.RFC3339))
	case j.Follow && h != nil && (h.Serial == 0 || m.Serial <= h.Serial):
		return fmt.Errorf("%w since %v by %s: %s; \"gracex hold --off\" ends it", ErrHeld, h.Since.Format(time.RFC3339), h.Who, h.Reason)
	case m.Serial < st.Serial && !j.Older:
		return refuse("serial %d is older than %d, which has run here: it can be a replay; --older accepts it", m.Serial, st.Serial)
	}
	return nil
}

// allowed says no to a program by its content.
func (j *job) allowed(st State, r Release) error {
	if b, bad := st.bad(r.SHA256, r.Packed); bad && !j.Again {
		return refuse("%s was taken back at %s: %s; --again tries it anew", b.Release, b.Since.Format(time.RFC3339), b.Reason)
	}
	if id := st.leftBy(r.SHA256); j.Follow && id != "" {
		return refuse("this host has gone back from %s: a deploy by hand accepts it", id)
	}
	if was := st.Known[r.Version]; was != "" && r.SHA256 != "" && was != r.SHA256 && !j.Older {
		return refuse("%s was %.8s, and is %.8s: a version never gets another content, so publish a new one", r.Version, was, r.SHA256)
	}
	return nil
}

// like is the path of the program that the next start gets; empty if there is none.
func (s *Store) like() string {
	for _, name := range []string{filepath.Join(currentLink, s.program), s.program} {
		if fi, err := s.root.Stat(name); err == nil && fi.Mode().IsRegular() {
			return s.at(name)
		}
	}
	return ""
}

// there returns the release if it is in releases/ already, and still what it was.
func (j *job) there(ctx context.Context, in arrival) (Release, bool, error) {
	all, err := j.Releases()
	if err != nil {
		return Release{}, false, err
	}
	i := slices.IndexFunc(all, func(r Release) bool {
		return r.Version == in.Version && (in.SHA256 != "" && r.SHA256 == in.SHA256 || in.Packed != "" && r.Packed == in.Packed)
	})
	if i < 0 {
		return Release{}, false, nil
	}
	r := all[i]
	r.Serial, r.Signer = in.Serial, in.Signer // a file at hand can be published later
	j.id = r.ID
	path := filepath.Join(releasesDir, r.ID, j.program)
	sum, size, err := j.hash(path)
	if err != nil || sum != r.SHA256 || size != r.Size {
		if j.Current() == r.ID {
			return r, false, notNow("%s is current, and its program is not what it was: deploy another release", r.ID)
		}
		return r, false, j.remove(r.ID) // and is fetched anew
	}
	if err := j.usable(ctx, path, in.like, sum); err != nil {
		return r, false, err
	}
	j.tell(Event{Kind: EventStaged, Text: "it was there already"})
	return r, true, nil
}

// remove takes a release away. It leaves releases/ whole, by a rename: half a release is never there.
func (s *Store) remove(id string) error {
	gone := filepath.Join(incomingDir, "old-"+id)
	err := s.root.RemoveAll(gone)
	if err == nil {
		err = s.root.Rename(filepath.Join(releasesDir, id), gone)
	}
	if err == nil {
		err = s.root.RemoveAll(gone)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return notNow("%w", err)
	}
	return nil
}
