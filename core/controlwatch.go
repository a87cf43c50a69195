package core

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// totals answers with the counts of the whole service.
func (s *controlSocket) totals(w http.ResponseWriter, r *http.Request, _ []byte) {
	if given := r.URL.Query().Get("measure_ms"); given != "" {
		ms, err := strconv.ParseInt(given, 10, 64)
		if err != nil || ms <= 0 {
			refuse(w, http.StatusBadRequest, control.CodeBadRequest, fmt.Sprintf("measure_ms=%q is no number of milliseconds", given))
			return
		}
		s.u.measure.measureFor(time.Duration(min(ms, control.MaxMeasure.Milliseconds())) * time.Millisecond)
	}
	writeJSON(w, s.u.Totals())
}

// keptAlive is how often a stream without an event gets an empty line, by which a client that is gone is noticed.
const keptAlive = 10 * time.Second

// events tells the events of the service, a line each, as long as this process is the one to ask.
func (s *controlSocket) events(w http.ResponseWriter, r *http.Request, _ []byte) {
	since := time.Now()
	if given := r.URL.Query().Get("since"); given != "" {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, given); err != nil {
			refuse(w, http.StatusBadRequest, control.CodeBadRequest, fmt.Sprintf("since=%q is no time as in RFC 3339", given))
			return
		}
	}
	follow, before := s.u.events.follow(since, nil)
	defer s.u.events.leave(follow)
	out := &stream{w: w, rc: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out.begin()
	for _, e := range before {
		out.line(e)
	}
	alive := time.NewTicker(keptAlive)
	defer alive.Stop()
	for over := s.u.events.elsewhere(); out.err == nil; {
		select {
		case e := <-follow.ch:
			out.line(e)
			continue
		default:
		}
		select {
		case e := <-follow.ch:
			out.line(e)
		case <-over:
			for len(follow.ch) > 0 {
				out.line(<-follow.ch)
			}
			return
		case <-alive.C:
			out.empty()
		case <-r.Context().Done():
			return
		}
	}
}

// promote ends the probation of this process, and answers when it goes on by itself.
func (s *controlSocket) promote(w http.ResponseWriter, r *http.Request, _ []byte) {
	p := s.u.inherited.old
	if !s.u.onProbation() || p == nil {
		refuse(w, http.StatusConflict, control.CodeRefused, "this version is not on probation: it serves for good")
		return
	}
	s.u.log.Info("control socket: the probation is to end now, as passed", "old_pid", p.PID())
	err := s.u.request(func(l *lifecycle) error { return l.askToPromote() })
	if err != nil {
		refuse(w, http.StatusConflict, control.CodeRefused, fmt.Sprintf("the old process %d can't be told; the probation goes on", p.PID()))
		return
	}
	select {
	case <-p.Confirmed:
		writeJSON(w, struct {
			Promoted bool `json:"promoted"`
			PID      int  `json:"pid"`
		}{true, s.u.account().PID})
	case <-p.Aborted:
		refuse(w, http.StatusConflict, control.CodeRefused, fmt.Sprintf("the upgrade was rolled back just now: process %d serves again", p.PID()))
	case <-p.Gone:
		refuse(w, http.StatusConflict, control.CodeRefused, fmt.Sprintf("the old process %d is gone; this one serves for good", p.PID()))
	case <-time.After(timing.Word):
		refuse(w, http.StatusConflict, control.CodeRefused,
			fmt.Sprintf("the old process %d does not answer, or its gracex can't end a probation; it goes on", p.PID()))
	case <-r.Context().Done():
	}
}

// askToPromote asks the old process to end the probation.
func (l *lifecycle) askToPromote() error {
	if l.incoming.machine.Phase != handover.NewProbation {
		return ErrNotOnProbation
	}
	return l.u.inherited.old.Say(wire.Promote, nil)
}
