package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gracex-go/gracex/core/internal/text"
)

// Totals returns the counts of the whole service. With a positive measure, which is rounded up to milliseconds and is a
// minute at most, the current process also measures how long requests take, for as long as that from now on: see
// Counts.RequestSeconds. Whoever watches asks again in time. The error wraps ErrVersion if the app's gracex is older than
// this method.
func (c *Client) Totals(ctx context.Context, measure time.Duration) (Totals, error) {
	target := PathTotals
	if measure = min(measure, MaxMeasure); measure > 0 {
		target += fmt.Sprintf("?measure_ms=%d", (measure+time.Millisecond-1)/time.Millisecond)
	}
	var t Totals
	err := c.call(ctx, http.MethodGet, target, nil, &t)
	return t, c.tooOld(err, "count for the whole service")
}

// MaxMeasure is how long requests are measured because of one call of Totals.
const MaxMeasure = time.Minute

// Promote ends the probation of the new version, as if its time were over and it had passed. It returns when the new
// process goes on by itself. The error wraps ErrRefused if no upgrade is on probation, or the upgrade was rolled back
// meanwhile, and ErrVersion if the gracex of one of the two versions is older than this method.
func (c *Client) Promote(ctx context.Context) error {
	return c.tooOld(c.call(ctx, http.MethodPost, PathPromote, nil, nil), "be asked to end a probation")
}

// These are paths that not every version knows.
const (
	PathTotals  = "/v1/totals"
	PathEvents  = "/v1/events"
	PathPromote = "/v1/promote"
)

// tooOld is the error of a request that an older version does not know.
func (c *Client) tooOld(err error, what string) error {
	if errors.Is(err, errNotThere) {
		return fmt.Errorf("%w: %s: the app's gracex can't %s; deploy a version with a newer one", ErrVersion, text.Printable(c.path), what)
	}
	return err
}

// Events calls f with each event of the service that is not older than since, in the order in which the current process
// has heard of them. The app remembers the last 256, through upgrades too. A zero since means none of those.
//
// Events follows the service through upgrades, and returns when ctx ends, with its error, or when the service is gone,
// with an error that wraps ErrNotFound or ErrStale. The error wraps ErrVersion if the app's gracex is older than this
// method.
func (c *Client) Events(ctx context.Context, since time.Time, f func(Event)) error {
	if since.IsZero() {
		since = time.Now()
	}
	w := &eventWatch{c: c, since: since, f: f}
	var lost time.Time // when nobody answered any more; zero while somebody does
	for pause := lookEvery; ; {
		n, err := w.follow(ctx)
		again := errors.Is(err, errHungUp) || errors.Is(err, errNotInCharge)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (!again || !lost.IsZero() && time.Since(lost) > endTime):
			return text.Error(c.tooOld(err, "tell its events"))
		case err == nil:
			lost = time.Time{}
		case lost.IsZero():
			lost = time.Now()
		}
		if pause = min(2*pause, time.Second); n > 0 || err != nil {
			pause = lookEvery
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// eventWatch follows the events of one process after the other.
type eventWatch struct {
	c     *Client
	since time.Time
	f     func(Event)
	seen  []string // the IDs of the last ones
}

// mostSeen is more than an app remembers.
const mostSeen = 1024

// overlap is how much is asked for again: events of two processes do not come in the order of their times.
const overlap = 10 * time.Second

// follow reads the stream of one process to its end, and returns how many events it had. An error says that there was
// no stream, or that it is none.
func (w *eventWatch) follow(ctx context.Context) (n int, err error) {
	target := PathEvents + "?" + url.Values{"since": {w.since.Format(time.RFC3339Nano)}}.Encode()
	resp, err := w.c.do(ctx, http.MethodGet, target, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	for in := newLines(resp.Body); ; n++ {
		line, err := in.next()
		switch {
		case errors.Is(err, bufio.ErrTooLong):
			return n, w.c.foreign(err)
		case err != nil: // the process has ended, in whatever way, or another one is to be asked
			return n, nil
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return n, w.c.foreign(err)
		}
		w.take(e)
	}
}

// take passes an event on that is new.
func (w *eventWatch) take(e Event) {
	if slices.Contains(w.seen, e.ID) {
		return
	}
	w.seen = append(w.seen[max(0, len(w.seen)-mostSeen):], e.ID)
	if from := e.Time.Add(-overlap); from.After(w.since) {
		w.since = from
	}
	w.f(e)
}
