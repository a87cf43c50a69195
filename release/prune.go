package release

import (
	"context"
	"slices"
	"strings"

	"github.com/gracex-go/gracex/core/control"
)

// DefaultKeep is how many good releases are kept beside the current one.
const DefaultKeep = 3

// Prune removes old releases, and returns their names. It keeps the last good ones, as many as keep says, beside the
// current one; keep below 0 is for all. It never removes what is current, on trial, or run by a process of this machine
// or of the app, and keeps the last one that was bad, to be looked at, and the last one that Back has left. c may be
// nil: then, unless this is root, it does not know what runs as another user.
func (s *Store) Prune(ctx context.Context, c *control.Client, keep int, events func(Event)) ([]string, error) {
	gone, err := s.prune(ctx, s.appOf(c), keep, events)
	return gone, printableError(err)
}

func (s *Store) prune(ctx context.Context, a app, keep int, events func(Event)) ([]string, error) {
	st, err := s.State()
	if err != nil || keep < 0 {
		return nil, err
	}
	all, err := s.Releases()
	if err != nil {
		return nil, err
	}
	kept := s.kept(st, keep)
	if a != nil {
		runs, err := a.status(ctx)
		if err != nil && !noApp(err) {
			return nil, err
		}
		kept[runs.release] = true
		for _, id := range runs.others {
			kept[id] = true
		}
	}
	for programs, exes := s.programs(), running(); len(exes) > 0; exes = exes[1:] {
		kept[programs.release(exes[0])] = true
	}
	var gone []string
	for _, r := range all {
		if kept[r.ID] {
			continue
		}
		if err := s.remove(r.ID); err != nil {
			return gone, err
		}
		gone = append(gone, r.ID)
		s.tell(events, r.ID, Event{Kind: EventPruned})
	}
	if len(gone) == 0 {
		return nil, nil
	}
	removed := func(id string) bool { return slices.Contains(gone, id) }
	st.Good, st.Left = slices.DeleteFunc(st.Good, removed), slices.DeleteFunc(st.Left, removed)
	if err := s.save(st); err != nil {
		return gone, err
	}
	s.record(events, Entry{Action: "prune", Outcome: "removed", Text: strings.Join(gone, " ")})
	step("pruned")
	return gone, nil
}

// kept are the releases that stay, whatever runs.
func (s *Store) kept(st State, keep int) map[string]bool {
	current := s.Current()
	kept := map[string]bool{current: true}
	if st.Trial != nil {
		kept[st.Trial.Release.ID], kept[st.Trial.From] = true, true
	}
	for _, id := range slices.Backward(st.Good) {
		if id == current {
			continue
		}
		if keep--; keep < 0 {
			break
		}
		kept[id] = true
	}
	if n := len(st.Left); n > 0 {
		kept[st.Left[n-1]] = true
	}
	var last Bad
	for _, b := range st.Bad {
		if b.Since.After(last.Since) && isID(b.Release) {
			last = b
		}
	}
	kept[last.Release] = true
	return kept
}
