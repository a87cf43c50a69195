package page

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

const (
	// watchFor is how long a page gets the events of one request, before it asks again. A handler that has no end would
	// hold up the drain of an app that shows itself.
	watchFor = 2 * time.Second
	// lookBack is how old the first events of a page may be. The app remembers fewer.
	lookBack = 30 * 24 * time.Hour
)

// events answers with the events that are not older than since, in milliseconds since 1970, and with those that come
// soon: a line of JSON each.
func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	since := time.Now().Add(-lookBack)
	if ms, err := strconv.ParseInt(r.FormValue("since"), 10, 64); err == nil {
		since = time.UnixMilli(ms)
	}
	ctx, cancel := context.WithTimeout(r.Context(), watchFor)
	defer cancel()
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, flush := json.NewEncoder(w), http.NewResponseController(w).Flush
	_ = flush()
	err := h.Source.Events(ctx, since, func(e control.Event) {
		_ = out.Encode(e) // to a client that may be gone
		_ = flush()
	})
	if err != nil && ctx.Err() == nil {
		_ = out.Encode(refusal{err.Error()})
	}
}
