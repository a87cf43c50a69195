package figures

import (
	"os"
	"slices"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
)

// Source is where the numbers come from. Tests make them up.
type Source struct {
	Totals    func() control.Totals
	State     func() core.State
	Upgrading func() bool
}

// Core is the source of this process.
var Core = Source{core.Totals, func() core.State { return core.Status().State }, core.Upgrading}

// Moment is what is known at one.
type Moment struct {
	Totals control.Totals
	Own    control.Account // what this process has counted itself
	Knows  bool            // there is an Own; not before there is an Upgrader
	// Answers means that this process tells about all of the service: no other one has it.
	Answers bool
}

// Now looks at the source.
func (s Source) Now() Moment {
	state := s.State() // first: what the old process knows is there before this one is current
	m := Moment{Totals: s.Totals()}
	m.Own, m.Knows = own(m.Totals)
	switch state {
	case core.StateCurrent, core.StateUpgrading:
		m.Answers = m.Knows
	case core.StateStopping: // perhaps it has never been current
		m.Answers = m.Knows && (!s.Upgrading() || m.Own.Started.After(m.Totals.Since))
	}
	return m
}

// own is the account of this process.
func own(t control.Totals) (a control.Account, ok bool) {
	i := slices.IndexFunc(t.Processes, func(a control.Account) bool { return a.PID == os.Getpid() })
	if i < 0 {
		return a, false
	}
	return t.Processes[i], true
}
