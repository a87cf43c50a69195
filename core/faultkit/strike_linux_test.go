package main

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestStrike_TooLate: on a busy machine the old process may give the new one up before the fault comes, and kill it. The cell
// says that it was not tried, whatever died with the new process, and no process is left standing still.
func TestStrike_TooLate(t *testing.T) {
	const late fault = "late-kill-new"
	known := faults
	t.Cleanup(func() { faults = known })
	faults = append(slices.Clip(faults), faultKind{name: late, inject: func(e *experiment, s *session) error {
		if err := e.wait("the end of the new process", func() bool { return !e.group.Has(s.victim()) }); err != nil {
			return err
		}
		return e.killNew(s)
	}})
	o := must.Get(parse(raceFlag(), new(bytes.Buffer)))(t)
	must.Do(t, o.useOwnServer(t.Context(), t.TempDir()))
	o.program = append(o.program, "-ready", "2s")
	var cells sync.WaitGroup
	for _, at := range []step{stepReady, stepConfirm} {
		cells.Go(func() {
			r := o.try(t.Context(), cell{at, late, oldServes, oldServes}, true)
			if !errors.Is(r.err, errLate) || at == stepReady && len(r.lost) > 0 {
				t.Errorf("%s: %v, and %d requests lost\n%s", at, r.err, len(r.lost), r.output)
			}
		})
	}
	cells.Wait()
}
