package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/gracex-go/gracex/core/control"
)

// maxOrder bounds what a page sends, in bytes.
const maxOrder = 16 << 10

// order is what a page sends with an action.
type order struct {
	Reason string `json:"reason"` // of a rollback
}

// done is the answer to an action.
type done struct {
	Outcome *control.Outcome `json:"outcome,omitempty"` // of an upgrade
}

// allows reports whether the request may change the app.
func (h *handler) allows(r *http.Request) bool { return h.Actions != nil && h.Actions(r) }

// action does what a page asks for, if it is allowed and this page has asked. A form of another site can't send JSON, and
// a browser says from where a request comes.
func (h *handler) action(do func(context.Context, order) (done, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h.forgery.Check(r); err != nil {
			refuse(w, http.StatusForbidden, "the request comes from another site: "+err.Error())
			return
		}
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			refuse(w, http.StatusUnsupportedMediaType, "the Content-Type is not application/json")
			return
		}
		if !h.allows(r) {
			refuse(w, http.StatusForbidden, "this page may not change the app")
			return
		}
		var o order
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder)).Decode(&o)
		if err != nil && !errors.Is(err, io.EOF) { // an empty body is an empty order
			refuse(w, http.StatusBadRequest, fmt.Sprintf("the request is not understood: %v", err))
			return
		}
		d, err := do(r.Context(), o)
		if err != nil {
			refuse(w, statusOf(err), err.Error())
			return
		}
		reply(w, http.StatusOK, d)
	}
}

func (h *handler) upgrade(ctx context.Context, _ order) (done, error) {
	outcome, err := h.Source.Upgrade(ctx, control.UpgradeOptions{})
	return done{Outcome: &outcome}, err
}

func (h *handler) rollback(ctx context.Context, o order) (done, error) {
	return done{}, h.Source.Rollback(ctx, o.Reason)
}

func (h *handler) promote(ctx context.Context, _ order) (done, error) {
	return done{}, h.Source.Promote(ctx)
}

func (h *handler) stop(ctx context.Context, _ order) (done, error) {
	return done{}, h.Source.Stop(ctx)
}

// statusOf is the status of an answer that has this error.
func statusOf(err error) int {
	switch {
	case errors.Is(err, control.ErrRefused):
		return http.StatusConflict
	case errors.Is(err, control.ErrPermission):
		return http.StatusForbidden
	case errors.Is(err, control.ErrVersion):
		return http.StatusNotImplemented
	case errors.Is(err, control.ErrNotFound), errors.Is(err, control.ErrStale):
		return http.StatusServiceUnavailable
	}
	return http.StatusBadGateway
}
