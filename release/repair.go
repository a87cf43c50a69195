package release

import (
	"errors"
	"io/fs"
	"slices"
)

// Repair makes a state anew for a store whose state.json is broken or gone. What is current is good, and so are the
// releases that the history has as current; what it has as bad is bad; the serial is the highest of the good ones. A
// release of which nothing is known is neither. The broken file is kept as state.json.broken. With a state that can be
// read it does nothing.
func (s *Store) Repair() (State, error) {
	st, err := s.repair()
	return st, printableError(err)
}

func (s *Store) repair() (State, error) {
	st, err := s.State()
	if err == nil || errors.Is(err, errLaterState) {
		return st, err
	}
	st = State{}.filled()
	all, err := s.Releases()
	if err != nil {
		return st, err
	}
	there := map[string]Release{}
	for _, r := range all {
		there[r.ID] = r
		if r.Signer != "" {
			st.Known[r.Version] = r.SHA256
		}
	}
	entries, err := s.History(0)
	if err != nil {
		return st, err
	}
	for _, e := range entries {
		r, ok := there[e.Release]
		switch {
		case e.Bad && checkSum("", e.SHA256) == nil:
			st.condemn(Release{ID: e.Release, SHA256: e.SHA256, Packed: r.Packed}, e.Text, e.Time)
		case ok && e.Outcome == outcomeCurrent && e.Action == "condemn": // what it has left is bad
		case ok && e.Outcome == outcomeCurrent && e.Action == "back":
			if e.From != "" && isID(e.From) {
				st.leave(e.From, e.Time, e.Who)
			}
		case ok && e.Outcome == outcomeCurrent:
			st.passed(Trial{Release: r, From: e.From})
		case e.Action == "hold":
			st.Hold = &Hold{Reason: e.Text, Who: e.Who, Since: e.Time}
		case e.Action == "unhold":
			st.Hold = nil
		}
	}
	if r, ok := there[s.Current()]; ok && !slices.Contains(st.Good, r.ID) {
		st.passed(Trial{Release: r})
	}
	if err := s.root.Rename(stateFile, stateFile+".broken"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return st, notNow("%w", err)
	}
	if err := s.save(st); err != nil {
		return st, err
	}
	return st, s.note(Entry{Action: "repair", Outcome: "done", Release: s.Current()})
}
