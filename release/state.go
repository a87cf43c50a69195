package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// State is what the next deploy, and a person, has to know.
type State struct {
	Format int               `json:"format"`          // 1
	Serial int64             `json:"serial"`          // the highest that has passed its probation: older ones are replays
	Paused int64             `json:"paused"`          // the highest serial of a manifest that was paused: nothing up to it is started; 0: none
	Good   []string          `json:"good"`            // releases that have passed their probation, in the order of the ways back: the last is the newest
	Left   []string          `json:"left,omitempty"`  // releases that Back has left, the newest last; neither good nor bad
	Trial  *Trial            `json:"trial,omitempty"` // nil: none
	Bad    map[string]Bad    `json:"bad,omitempty"`   // by SHA-256
	Late   map[string]int    `json:"late,omitempty"`  // how often a program was not ready in time, by SHA-256
	Hold   *Hold             `json:"hold,omitempty"`  // nil: none
	Known  map[string]string `json:"known,omitempty"` // SHA-256 of a version's program, for those that a key has signed
}

// Trial is the release that is being tried. It survives whoever tries it.
type Trial struct {
	Release Release   `json:"release"`
	From    string    `json:"from"`             // what is current meanwhile; empty: nothing
	Since   time.Time `json:"since"`            //
	Passed  bool      `json:"passed,omitempty"` // its probation is over, and only current is to be changed
	Back    bool      `json:"back,omitempty"`   // by Store.Back
}

// Bad is what is known against a program.
type Bad struct {
	Release string    `json:"release"`
	Reason  string    `json:"reason"`
	Since   time.Time `json:"since"`
}

// Hold stops followers.
type Hold struct {
	Reason string    `json:"reason"`
	Who    string    `json:"who"`
	Since  time.Time `json:"since"`
	// Serial is the highest serial that it is about: a later release ends it. 0: only Unhold does.
	Serial int64 `json:"serial,omitempty"`
}

const (
	stateFormat = 1
	maxState    = 4 << 20 // bytes of a state.json
	mostKept    = 2000    // verdicts and versions that are remembered
)

// errLaterState is no reason for a repair.
var errLaterState = errors.New("it was written by a later gracex")

// repairHint is the remedy for a state that can't be read.
const repairHint = "nothing was changed; \"gracex recover --repair\" makes it anew from what is in releases/ and in the history"

// State returns the state. The error wraps ErrNotTried if the file is broken, and names the remedy.
func (s *Store) State() (State, error) { return stateOf(s.root, s.at(stateFile)) }

// ReadState is Store.State for a reader without the lock.
func ReadState(dir string) (st State, current string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return st, "", printableError(notNow("%w", err))
	}
	defer func() { _ = root.Close() }()
	st, err = stateOf(root, root.Name()+"/"+stateFile)
	return st, currentOf(root), printableError(err)
}

func stateOf(root *os.Root, path string) (State, error) {
	st := State{Format: stateFormat}
	if fi, err := root.Lstat(stateFile); err == nil && !fi.Mode().IsRegular() { // opening a pipe would wait
		return st, notNow("%s is no plain file (mode %v): move it away; %s", path, fi.Mode(), repairHint)
	}
	f, err := root.Open(stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		// Without it a version that was taken back would be tried again, and an old one taken for new.
		if current := currentOf(root); current != "" {
			return st, notNow("%s is gone, though %s is current: %s", path, current, repairHint)
		}
		return st.filled(), nil
	}
	if err != nil {
		return st, notNow("%w", err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxState+1))
	switch {
	case err != nil:
		return st, notNow("%s: %w", path, err)
	case len(b) > maxState:
		return st, notNow("%s has more than %d bytes: %s", path, maxState, repairHint)
	}
	st = State{}
	if err := json.Unmarshal(b, &st); err != nil {
		return st, notNow("%s is broken (%w): %s", path, err, repairHint)
	}
	if err := st.check(); errors.Is(err, errLaterState) {
		return st, notNow("%s: %w: use that gracex", path, err)
	} else if err != nil {
		return st, notNow("%s is broken (%w): %s", path, err, repairHint)
	}
	return st.filled(), nil
}

// check refuses names that would lead out of releases/.
func (st State) check() error {
	switch {
	case st.Format < 1:
		return errors.New("it has no format")
	case st.Format > stateFormat:
		return fmt.Errorf("%w: it has format %d, and this gracex knows %d", errLaterState, st.Format, stateFormat)
	case st.Serial < 0 || st.Paused < 0:
		return errors.New("a serial is negative")
	}
	ids := slices.Concat(st.Good, st.Left)
	if t := st.Trial; t != nil {
		ids = append(ids, t.Release.ID)
		if t.From != "" {
			ids = append(ids, t.From)
		}
	}
	for _, id := range ids {
		if !isID(id) {
			return fmt.Errorf("%q is no release", id)
		}
	}
	return nil
}

// isID reports whether a directory in releases/ can have this name.
func isID(id string) bool {
	i := strings.LastIndexByte(id, '-')
	return i > 0 && len(id)-i-1 == idDigits && checkWord("version", id[:i]) == nil && strings.Trim(id[i+1:], "0123456789abcdef") == ""
}

func (st State) filled() State {
	if st.Bad == nil {
		st.Bad = map[string]Bad{}
	}
	if st.Late == nil {
		st.Late = map[string]int{}
	}
	if st.Known == nil {
		st.Known = map[string]string{}
	}
	return st
}

// save makes a state durable before it returns.
func (s *Store) save(st State) error {
	st.Format = stateFormat
	st.bound()
	b, err := json.MarshalIndent(st, "", " ")
	if err == nil {
		err = replaceFile(s.root, stateFile, append(b, '\n'), s.uid, s.gid)
	}
	if err == nil {
		err = s.sync(".")
	}
	if err != nil {
		return notNow("%s: %w", s.at(stateFile), err)
	}
	return nil
}

// bound forgets the oldest verdicts of a store that has thousands.
func (st *State) bound() {
	for len(st.Bad) > mostKept {
		oldest := ""
		for sum, b := range st.Bad {
			if oldest == "" || b.Since.Before(st.Bad[oldest].Since) {
				oldest = sum
			}
		}
		delete(st.Bad, oldest)
	}
	for v := range st.Known {
		if len(st.Known) <= mostKept {
			break
		}
		delete(st.Known, v)
	}
	for sum := range st.Late {
		if len(st.Late) <= mostKept {
			break
		}
		delete(st.Late, sum)
	}
	st.Left = st.Left[max(0, len(st.Left)-mostKept):]
}

// leftBy returns the release that Back has left and that has this program, by whatever version it is offered; empty for
// none.
func (st State) leftBy(sum string) string {
	for _, id := range st.Left {
		if len(sum) > idDigits && strings.HasSuffix(id, "-"+sum[:idDigits]) {
			return id
		}
	}
	return ""
}

// bad returns the verdict against one of these programs.
func (st State) bad(sums ...string) (Bad, bool) {
	for _, sum := range sums {
		if b, ok := st.Bad[sum]; ok && sum != "" {
			return b, true
		}
	}
	return Bad{}, false
}
