package page

import (
	"crypto/rand"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// run names this process, whose points are numbered from 1: after an upgrade another process can answer the page.
var run = rand.Text()

// state is what a page gets each second.
type state struct {
	Run     string          `json:"run"`
	Now     int64           `json:"now"` // in milliseconds since 1970
	Actions bool            `json:"actions"`
	Status  *control.Status `json:"status"`          // null if the app does not answer
	Totals  *control.Totals `json:"totals"`          // null if it has none
	Gone    string          `json:"gone,omitempty"`  // why the app does not answer
	Older   string          `json:"older,omitempty"` // why it has no totals
	Points  []point         `json:"points"`
	Seq     int             `json:"seq"` // of the last point: what to ask for after
}

// state answers with what the app says now, and with the points after the one that the page has.
func (h *handler) state(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.Atoi(r.FormValue("after")) // 0: all of them
	if r.FormValue("run") != run {
		after = 0
	}
	now, points, seq := h.samples.ask(r.Context(), after)
	s := state{Run: run, Now: time.Now().UnixMilli(), Actions: h.allows(r), Points: points, Seq: seq}
	switch {
	case now.statusErr != nil:
		s.Gone = now.statusErr.Error()
	case errors.Is(now.totalsErr, control.ErrVersion):
		s.Status, s.Older = &now.status, now.totalsErr.Error()
	default:
		s.Status = &now.status
		if now.totalsErr == nil {
			s.Totals = withoutDurations(now.totals)
		}
	}
	reply(w, http.StatusOK, s)
}

// withoutDurations returns the totals without the histograms of requests, which the points tell of.
func withoutDurations(t control.Totals) *control.Totals {
	t.Total.RequestSeconds, t.Ended.RequestSeconds = control.Histogram{}, control.Histogram{}
	processes := make([]control.Account, len(t.Processes))
	for i, a := range t.Processes {
		a.Counts.RequestSeconds = control.Histogram{}
		processes[i] = a
	}
	t.Processes = processes
	return &t
}
