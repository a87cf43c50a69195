package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/text"
	"github.com/gracex-go/gracex/core/internal/timing"
)

// ServeHTTP answers an operator.
func (s *controlSocket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set(control.HeaderProtocol, strconv.Itoa(control.Protocol))
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeWait))
	who, _ := r.Context().Value(peerKey{}).(asker)
	if who.refused != nil {
		s.u.log.Warn("control socket: a client was refused", "error", who.refused)
		refuse(w, http.StatusForbidden, control.CodePermission, who.refused.Error())
		return
	}
	if who.operator && r.Method != http.MethodGet {
		s.u.log.Info("control socket: an operator asks", "user", who.uid, "request", r.URL.Path)
	}
	handle := map[string]struct {
		method string
		room   int64 // for the body, in bytes
		serve  func(http.ResponseWriter, *http.Request, []byte)
	}{
		"/v1/status":          {http.MethodGet, maxBody, s.status},
		"/v1/ledger":          {http.MethodGet, maxBody, s.ledger},
		"/v1/upgrade":         {http.MethodPost, maxStart, s.upgrade},
		control.PathUpgradeTo: {http.MethodPost, maxStart, s.upgradeTo},
		control.PathCheck:     {http.MethodPost, maxStart, s.check},
		"/v1/rollback":        {http.MethodPost, maxBody, s.rollback},
		"/v1/stop":            {http.MethodPost, maxBody, s.stop},
		control.PathTotals:    {http.MethodGet, maxBody, s.totals},
		control.PathEvents:    {http.MethodGet, maxBody, s.events},
		control.PathPromote:   {http.MethodPost, maxBody, s.promote},
	}
	at, ok := handle[r.URL.Path]
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, control.CodeNotFound, fmt.Sprintf("there is no %s; there are /v1/status, ledger, totals, events, upgrade, upgrade-to, check, rollback, promote and stop", r.URL.Path))
		return
	case r.Method != at.method:
		h.Set("Allow", at.method)
		refuse(w, http.StatusMethodNotAllowed, control.CodeMethod, fmt.Sprintf("%s wants %s", r.URL.Path, at.method))
		return
	}
	body, err := readBody(w, r, at.room)
	if err != nil {
		refuse(w, http.StatusBadRequest, control.CodeBadRequest, err.Error())
		return
	}
	at.serve(w, r, body)
}

// readBody reads all of a body that fits into room, for which a client has a while.
func readBody(w http.ResponseWriter, r *http.Request, room int64) ([]byte, error) {
	rc := http.NewResponseController(w)
	if err := rc.SetReadDeadline(time.Now().Add(bodyWait)); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, room))
	if err != nil {
		return nil, fmt.Errorf("the request's body: %w", err)
	}
	return body, rc.SetReadDeadline(conns.NoDeadline)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	var body control.ErrorBody
	body.Error.Code, body.Error.Message = code, text.Cut(message, text.MaxExplained)
	w.Header().Set("Connection", "close")
	w.WriteHeader(status)
	writeJSON(w, body)
}

func writeJSON(w io.Writer, v any) {
	if b, err := json.Marshal(v); err == nil {
		_, _ = w.Write(append(b, '\n')) // a client that is gone
	}
}

func (s *controlSocket) status(w http.ResponseWriter, _ *http.Request, _ []byte) {
	u := s.u
	st := control.Status{
		Protocol: control.Protocol, PID: os.Getpid(), Supervisor: s.u.link().PID(), Version: u.cfg.version,
		PIDNamespace: proc.PIDNamespace(), LastUpgrade: u.last.Load(), Generations: u.generations(timing.Report),
	}
	st.NextRelease = releaseName(u.launch().NextRelease())
	st.Program, _ = s.u.launch().Path()
	if u.cfg.pidFile != "" {
		st.PIDFile, _ = filepath.Abs(u.cfg.pidFile)
	}
	writeJSON(w, st)
}

func (s *controlSocket) ledger(w http.ResponseWriter, _ *http.Request, _ []byte) {
	writeJSON(w, s.u.ledger())
}

// stop answers once the stop has begun. With end=1 this process ends if main does not return. With wait=1 the
// answer's end is the end of this process: the connection is left open, and the system closes it. Process numbers
// mean nothing to a client in another pid namespace.
func (s *controlSocket) stop(w http.ResponseWriter, r *http.Request, _ []byte) {
	s.u.log.Info("control socket: stop")
	if r.URL.Query().Get("end") == "1" {
		s.u.ending.Do(func() { go s.u.endMain() })
	}
	s.u.requestStop(stopRequest{all: true})
	if r.URL.Query().Get("wait") == "1" {
		s.keep(w)
		return
	}
	writeJSON(w, stopAnswer{true})
}

type stopAnswer struct {
	Stopping bool `json:"stopping"`
}

// keep answers on a connection that stays open as long as this process lives.
func (s *controlSocket) keep(w http.ResponseWriter) {
	c, out, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // the client is gone
	}
	s.mu.Lock()
	s.kept = append(s.kept, c)
	s.mu.Unlock()
	header := w.Header()
	header.Set("Connection", "close")
	_, _ = io.WriteString(out, "HTTP/1.1 200 OK\r\n")
	_ = header.Write(out)
	_, _ = io.WriteString(out, "\r\n")
	writeJSON(out, stopAnswer{true})
	_ = out.Flush()
}

// rollback has the old process serve again, and answers when that has decided.
func (s *controlSocket) rollback(w http.ResponseWriter, r *http.Request, body []byte) {
	var req struct {
		Reason string `json:"reason"`
	}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &req); err != nil {
			refuse(w, http.StatusBadRequest, control.CodeBadRequest, fmt.Sprintf(`the body is not {"reason": "..."}: %v`, err))
			return
		}
	}
	const remedy = "this version is not on probation, there is nothing to go back to; deploy the old version and upgrade"
	if !s.u.onProbation() { // Reject before that would be a failed start
		refuse(w, http.StatusConflict, control.CodeRefused, remedy)
		return
	}
	if err := s.u.Reject(&operatorError{text.Reason(req.Reason)}); err != nil {
		if errors.Is(err, ErrNotOnProbation) {
			err = errors.New(remedy)
		}
		refuse(w, http.StatusConflict, control.CodeRefused, err.Error())
		return
	}
	p := s.u.inherited.old
	select {
	case <-p.Aborted:
	case <-p.Confirmed:
		refuse(w, http.StatusConflict, control.CodeRefused, "the probation was just over; deploy the old version and upgrade")
		return
	case <-p.Gone:
	case <-time.After(timing.Word):
		refuse(w, http.StatusConflict, control.CodeRefused, fmt.Sprintf("the old process %d does not answer; this one serves on", p.PID()))
		return
	case <-r.Context().Done():
		return
	}
	if !isClosed(p.Aborted) {
		refuse(w, http.StatusConflict, control.CodeRefused, fmt.Sprintf("the old process %d is gone; this one serves on", p.PID()))
		return
	}
	writeJSON(w, struct {
		RolledBack bool `json:"rolled_back"`
		PID        int  `json:"pid"` // that serves again
	}{true, p.PID()})
}
