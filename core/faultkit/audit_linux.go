package main

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// sums is what the whole comes to.
type sums struct {
	accepted, moved int             // connections, of all ledgers
	took            []time.Duration // of the upgrades, sorted
	longest         time.Duration   // drain
	gap             time.Duration   // in which nobody has accepted
}

// audit compares the ledgers of all generations, which have ended, with each other
// and with what clients have counted.
func audit(history []generation, clients load.Result, v *verdict) (s sums) {
	answered := make([]int, len(history))
	for who, n := range clients.Served {
		if who == (load.Server{}) {
			continue // of an echo, which is no request
		}
		g, err := strconv.Atoi(who.Generation)
		if err != nil || g < 0 || g >= len(history) {
			v.fail(checkLedgers, "%d answers of generation %q, which has never been", n, who.Generation)
			continue
		}
		answered[g] += n
	}
	for n, g := range history {
		if g.ledger == nil {
			v.fail(checkLedgers, "generation %d has left none", n)
			continue
		}
		l, moved := g.ledger, 0
		s.accepted, s.moved = s.accepted+l["accepted"], s.moved+l["moved"]
		if !g.handed.IsZero() {
			s.took = append(s.took, g.took)
			s.longest = max(s.longest, g.ended.Sub(g.handed))
		}
		if n > 0 {
			s.gap = max(s.gap, g.current.Sub(history[n-1].drains))
			moved = history[n-1].ledger["moved"]
		}
		for name, k := range l {
			if k > 0 && (name == "refused" || name == "closed_idle" || strings.HasPrefix(name, "cut_")) {
				v.fail(checkLedgers, "generation %d: %s is %d", n, name, k)
			}
		}
		if l["served"] != answered[n] {
			v.fail(checkLedgers, "generation %d has served %d requests, and clients have %d answers", n, l["served"], answered[n])
		}
		if l["adopted"] != moved {
			v.fail(checkLedgers, "generation %d has adopted %d connections, and %d have moved there", n, l["adopted"], moved)
		}
	}
	if s.accepted != clients.Connects {
		v.fail(checkLedgers, "%d connections were accepted, and clients have dialed %d", s.accepted, clients.Connects)
	}
	slices.Sort(s.took)
	return s
}

// handingOver is how far a handover's line in the log may be from its beginning, on
// a machine that is busy.
const handingOver = 5 * time.Second

// auditReturns looks at the clients that came back to a generation which had told
// them to close. It says so from the moment that it hands over, and stops accepting
// a moment later, so that some come back to it; at any other time it must not.
func auditReturns(returns []comeback, history []generation, v *verdict) {
	for _, r := range returns {
		if r.generation >= len(history) {
			continue // the ledgers have said that there is none
		}
		if g := history[r.generation]; g.handed.IsZero() || g.handed.Sub(r.at).Abs() > handingOver {
			v.fail(checkConnections, "%s: client %d had to connect anew to generation %d, which did not hand over then",
				r.row, r.client, r.generation)
		}
	}
}

// auditExits looks at how processes have ended. One that has ended its drain may be
// ended by a signal that comes too late for it: it has stopped to listen to them.
func auditExits(exits []procgroup.Exit, state *journalState, v *verdict) {
	for _, e := range exits {
		ended := slices.ContainsFunc(state.history, func(g generation) bool { return g.pid == e.PID && !g.ended.IsZero() })
		if e.Status != 0 && !slices.Contains(state.onPurpose, e.PID) && (e.Signal == "" || !ended) {
			v.fail(checkEnd, "%v", e)
		}
	}
	for pid, how := range state.planned {
		v.fail(checkUpgrades, "pid %d failed on purpose (%s), and no upgrade has", pid, how)
	}
}
