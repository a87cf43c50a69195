package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/text"
)

// drainTick is how often a client hears how far a drain is.
const drainTick = 250 * time.Millisecond

// upgrade starts an upgrade to the release at the launch path.
func (s *controlSocket) upgrade(w http.ResponseWriter, r *http.Request, body []byte) {
	if r.URL.Query().Has("release") { // it would start another one than is named
		refuse(w, http.StatusBadRequest, control.CodeBadRequest, "the name of a release is for "+control.PathUpgradeTo)
		return
	}
	s.runUpgrade(w, r, body, launchChange{})
}

// upgradeTo starts one to a release by its name.
func (s *controlSocket) upgradeTo(w http.ResponseWriter, r *http.Request, body []byte) {
	s.toRelease(w, r, body, launchChange{release: r.URL.Query().Get("release")})
}

// check starts a new process, of a release if one is named, and ends it when it is ready.
func (s *controlSocket) check(w http.ResponseWriter, r *http.Request, body []byte) {
	query := r.URL.Query()
	if !query.Has("release") {
		s.runUpgrade(w, r, body, launchChange{check: true})
		return
	}
	s.toRelease(w, r, body, launchChange{release: query.Get("release"), check: true})
}

// toRelease is for what starts a release by its name.
func (s *controlSocket) toRelease(w http.ResponseWriter, r *http.Request, body []byte, what launchChange) {
	query, release := r.URL.Query(), what.release
	err := spawn.CheckName(release)
	if err == nil {
		err = s.u.findRelease(release)
	}
	if err != nil && !what.check {
		s.u.refused(err)
	}
	switch {
	case errors.Is(err, spawn.ErrNoRelease):
		refuse(w, http.StatusConflict, control.CodeNoRelease, strings.TrimPrefix(err.Error(), prefix))
	case err != nil:
		refuse(w, http.StatusConflict, control.CodeRefused, strings.TrimPrefix(err.Error(), prefix))
	case query.Get("leave") == "1":
		refuse(w, http.StatusBadRequest, control.CodeBadRequest, "an upgrade to a release can't leave a foreign master")
	default:
		s.runUpgrade(w, r, body, what)
	}
}

// runUpgrade starts an upgrade and tells the client each step. A client that goes away
// changes nothing.
func (s *controlSocket) runUpgrade(w http.ResponseWriter, r *http.Request, body []byte, wish launchChange) {
	began := time.Now()
	var start control.StartOptions
	var change launchChange
	var err error
	if len(body) > 0 {
		err = json.Unmarshal(body, &start)
	}
	if err == nil {
		change, err = changeOf(start)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, control.CodeBadRequest, "the body does not say how to start the new process: "+err.Error())
		return
	}
	leave := r.URL.Query().Get("leave") == "1"
	who, _ := r.Context().Value(peerKey{}).(asker)
	if who.operator {
		what := ""
		switch {
		case change.env != nil || change.set != nil || change.args != nil:
			what = "change the environment or the arguments of a new version"
		case leave:
			what = "make the app leave the program that starts its versions"
		}
		if what != "" {
			refuse(w, http.StatusForbidden, control.CodePermission, who.mayNot(what))
			return
		}
	}
	change.release, change.check = wish.release, wish.check
	if s.u.request((*lifecycle).checkInCharge) != nil {
		refuse(w, http.StatusConflict, control.CodeNotInCharge, "another process has the service, or is about to; connect again")
		return
	}
	follow, _ := s.u.events.follow(began, ofUpgrade)
	defer s.u.events.leave(follow)
	steps := follow.ch
	out := &stream{w: w, rc: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out.begin()
	s.u.log.Info("control socket: upgrade", "leave", leave, "release", change.release, "check", change.check,
		"env", start.Env != nil, "set_env", len(start.SetEnv), "args", start.Args != nil)
	if !who.operator { // he could guess at values until nothing is different
		s.u.compareEnvironment(start.CompareEnv)
	}
	result := make(chan upgradeReply, 1)
	go func() {
		res, err := s.u.requestUpgrade(context.WithoutCancel(r.Context()), leave, change)
		result <- upgradeReply{res, err}
	}()
	var newPID int
	var warnings []string
	tell := func(e control.Event) {
		switch e.Step {
		case control.StepStarted:
			newPID = e.PID
		case control.StepWarning:
			warnings = append(warnings, e.Text)
		}
		out.line(plainStep(e))
	}
	var reply upgradeReply
	for waiting := true; waiting; {
		select {
		case e := <-steps:
			tell(e)
		case reply = <-result:
			waiting = false
		case <-r.Context().Done():
			return
		}
	}
	for len(steps) > 0 { // what came before the reply
		tell(<-steps)
	}
	o := s.u.outcome(reply, newPID)
	o.Took, o.Warnings, o.Release = time.Since(began), warnings, change.release
	if o.OK && change.check {
		o.Kind, o.Generation = control.KindChecked, s.u.generation
	}
	if m := s.u.boot.master(); o.OK && leave && m != nil {
		o.Left = fmt.Sprintf("%s (pid %d)", m.Name, m.PID)
	}
	if !o.OK {
		out.line(control.Event{Time: time.Now(), Step: failedStep(o.Kind), PID: o.NewPID, Text: o.Reason})
	}
	out.line(struct {
		Outcome control.Outcome `json:"outcome"`
	}{o})
	if o.OK && r.URL.Query().Get("drain") == "1" {
		s.u.followDrain(r.Context(), out, steps)
	}
}

// plainStep is the event as the stream of an upgrade has it.
func plainStep(e control.Event) control.Event {
	return control.Event{Time: e.Time, Step: e.Step, PID: e.PID, Text: e.Text, Remaining: e.Remaining, Total: e.Total, Probation: e.Probation}
}

// failedStep is the step that tells of an outcome which is not good.
func failedStep(kind string) string {
	switch kind {
	case control.KindRefused, control.KindRolledBack:
		return kind
	}
	return control.StepFailed
}

// outcome is what Upgrade returned, for an operator.
func (u *Upgrader) outcome(r upgradeReply, newPID int) control.Outcome {
	o := control.Outcome{
		OldPID: os.Getpid(), OldGeneration: u.generation, OldVersion: u.cfg.version,
		NewPID: newPID, Generation: u.generation,
	}
	if r.err == nil {
		o.OK, o.Kind = true, control.KindUpgraded
		o.NewPID, o.Generation, o.Version = r.result.PID, r.result.Generation, r.result.Version
		return o
	}
	o.ReasonClass = reasonClass(r.err)
	var start *StartError
	if errors.As(r.err, &start) {
		o.Reason, o.Stderr, o.Exit = start.brief(), start.Stderr, start.Exit
		if start.PID != 0 {
			o.NewPID = start.PID
		}
	} else {
		o.Reason = strings.TrimPrefix(r.err.Error(), prefix)
	}
	if operator := new(operatorError); errors.As(r.err, &operator) {
		o.Reason = operator.Error()
	}
	switch {
	case errors.Is(r.err, ErrInProgress):
		o.Kind, o.NewPID = control.KindRefused, 0
		o.Reason = "an upgrade is in progress or still on probation; its outcome comes first"
	case errors.Is(r.err, ErrStopped): // whatever was started: it says nothing about the new version
		o.Kind = control.KindRefused
	case errors.Is(r.err, ErrRolledBack):
		o.Kind = control.KindRolledBack
	case errors.Is(r.err, ErrVetoed), start == nil && newPID == 0:
		o.Kind = control.KindRefused
	case errors.Is(r.err, ErrTimeout):
		o.Kind = control.KindTimedOut
		o.Reason = strings.TrimPrefix(o.Reason, strings.TrimPrefix(ErrTimeout.Error(), prefix)+": ") // the kind says it
	default:
		o.Kind = control.KindFailed
	}
	if o.Kind != control.KindRefused {
		o.NextStart = u.nextStart()
	}
	return o
}

// brief is the error without what an Outcome has fields for.
func (e *StartError) brief() string {
	why := text.Reason(e.Reason)
	if e.Err != nil && !strings.Contains(e.Reason, e.Err.Error()) {
		if why != "" {
			why += ": "
		}
		why += text.Reason(strings.TrimPrefix(e.Err.Error(), prefix))
	}
	if e.PID == 0 {
		why = e.Path + " could not be started: " + why
	}
	if e.File != "" {
		why += " [" + e.File + "]"
	}
	if e.Remedy != "" {
		why += "; " + e.Remedy
	}
	return why
}

// followDrain tells what the drain has left, until it has ended, or was undone.
func (u *Upgrader) followDrain(ctx context.Context, out *stream, steps <-chan control.Event) {
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	total, last := 0, -1
	for {
		r := u.remaining()
		left := r.Connections + r.Hijacked
		total = max(total, left)
		if left != last {
			last = left
			out.line(control.Event{Time: time.Now(), Step: control.StepDraining, PID: os.Getpid(), Text: r.String(), Remaining: left, Total: total})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		case e := <-steps:
			if e.Step == control.StepTakenBack {
				out.line(plainStep(e))
				return
			}
		case <-u.phase.finished:
			out.line(control.Event{Time: time.Now(), Step: control.StepDrained, PID: os.Getpid(), Text: u.cutText(), Total: total})
			return
		}
	}
}

// stream writes lines of JSON, each at once.
type stream struct {
	w   http.ResponseWriter
	rc  *http.ResponseController
	err error // of a client that is gone: what follows goes nowhere
}

// begin sends the header, which says that the request is understood.
func (s *stream) begin() { s.err = s.rc.Flush() }

func (s *stream) line(v any) {
	if b, err := json.Marshal(v); err == nil {
		s.write(append(b, '\n'))
	}
}

// empty writes a line that says nothing.
func (s *stream) empty() { s.write([]byte{'\n'}) }

func (s *stream) write(b []byte) {
	if s.err != nil {
		return
	}
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeWait))
	if _, s.err = s.w.Write(b); s.err == nil {
		s.err = s.rc.Flush()
	}
}
