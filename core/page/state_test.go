package page

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/page/internal/played"
	"github.com/gracex-go/gracex/internal/must"
)

// look asks as a page does that has the points up to this one.
func look(t *testing.T, h http.Handler, before state) (s state) {
	t.Helper()
	w := ask(h, http.MethodGet, fmt.Sprintf("/state?run=%s&after=%d", before.Run, before.Seq), "")
	if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("status %d, %v: %s", w.Code, w.Header(), w.Body)
	}
	must.Do(t, json.Unmarshal(w.Body.Bytes(), &s))
	return s
}

func TestState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		app := played.New("v1", 10)
		h := Handler(Config{Source: app})
		s := look(t, h, state{})
		if s.Status == nil || s.Status.Version != "v1" || s.Totals == nil || len(s.Points) != 0 || s.Gone != "" {
			t.Fatalf("%+v", s)
		}
		for range 3 {
			time.Sleep(time.Second)
			s = look(t, h, s)
			if len(s.Points) != 1 || s.Points[0].Seq != s.Seq {
				t.Fatalf("after a second: %+v", s.Points)
			}
		}
		p := s.Points[0]
		if p.Requests != 2000 || len(p.Versions) != 1 || p.Versions[0].Requests != 2000 || p.Versions[0].Errors != 2 {
			t.Errorf("2000 requests a second, 2 of them bad: %+v", p)
		}
		if v := p.Versions[0]; v.P50 == nil || *v.P50 != 3 || v.P99 == nil || *v.P99 != 21 {
			t.Errorf("half within 3 ms, 99 of 100 within 21 ms: %+v", v)
		}
		if again := look(t, h, state{}); len(again.Points) != 3 || again.Seq != 3 {
			t.Errorf("a page that was opened again has %d points", len(again.Points))
		}
		if other := look(t, h, state{Run: "another", Seq: 2}); len(other.Points) != 3 {
			t.Errorf("a page that has another process's points has got %d", len(other.Points))
		}
	})
}

// Ten minutes are remembered, and no more. A time in which nobody has asked is no point.
func TestState_Bounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := Handler(Config{Source: played.New("v1", 10)})
		first := look(t, h, state{})
		for range mostPoints + 50 {
			time.Sleep(time.Second)
			first = look(t, h, first)
		}
		s := look(t, h, state{})
		if len(s.Points) != mostPoints || s.Seq != mostPoints+50 || s.Points[0].Seq != 51 {
			t.Errorf("%d points to %d, from %d", len(s.Points), s.Seq, s.Points[0].Seq)
		}
		time.Sleep(time.Hour)
		if s = look(t, h, s); len(s.Points) != 0 {
			t.Errorf("after an hour: %+v", s.Points)
		}
		time.Sleep(time.Second)
		if s = look(t, h, s); len(s.Points) != 1 || s.Points[0].Requests != 2000 {
			t.Errorf("a second later: %+v", s.Points)
		}
	})
}

// counted is an app that counts how often it is asked.
type counted struct {
	*played.App
	statuses, totals atomic.Int32
	err, totalsErr   error
	hangs            bool
}

func (c *counted) Status(ctx context.Context) (control.Status, error) {
	c.statuses.Add(1)
	if c.hangs {
		<-ctx.Done()
		return control.Status{}, ctx.Err()
	}
	if c.err != nil {
		return control.Status{}, c.err
	}
	return c.App.Status(ctx)
}

func (c *counted) Totals(ctx context.Context, measure time.Duration) (control.Totals, error) {
	c.totals.Add(1)
	if c.totalsErr != nil {
		return control.Totals{}, c.totalsErr
	}
	return c.App.Totals(ctx, measure)
}

// Any number of pages costs the app no more than one, and none costs nothing.
func TestState_ManyPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		app := &counted{App: played.New("v1", 10)}
		h := Handler(Config{Source: app})
		var pages sync.WaitGroup
		for range 20 {
			pages.Go(func() {
				for range 10 {
					look(t, h, state{})
					time.Sleep(time.Second)
				}
			})
		}
		pages.Wait()
		if s, n := app.statuses.Load(), app.totals.Load(); s != 10 || n != 10 {
			t.Errorf("in ten seconds 20 pages have asked for %d statuses and %d totals", s, n)
		}
		time.Sleep(time.Hour)
		if n := app.statuses.Load(); n != 10 {
			t.Errorf("nobody watches, and the app was asked %d times", n-10)
		}
	})
}

// A page that is closed in the middle of a question takes the answer from nobody.
func TestState_PageIsClosed(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := Handler(Config{Source: played.New("v1", 10)})
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/state", nil).WithContext(ctx))
	if s := look(t, h, state{}); s.Status == nil {
		t.Errorf("the next page gets %+v", s)
	}
}

func TestState_Gone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		app := &counted{App: played.New("v1", 10)}
		h := Handler(Config{Source: app})
		s := look(t, h, state{})
		app.Gone(true)
		time.Sleep(time.Second)
		if s = look(t, h, s); s.Status != nil || s.Totals != nil || !strings.Contains(s.Gone, control.ErrStale.Error()) {
			t.Errorf("gone: %+v", s)
		}
		app.Gone(false)
		time.Sleep(time.Second)
		if s = look(t, h, s); s.Status == nil || s.Gone != "" || len(s.Points) != 0 {
			t.Errorf("back: %+v", s)
		}
		app.hangs = true
		time.Sleep(time.Second)
		if s = look(t, h, s); s.Status != nil || s.Gone != control.ErrHangs.Error() {
			t.Errorf("hangs: %+v", s)
		}
		app.hangs = false
		app.totalsErr = fmt.Errorf("%w: deploy a version with a newer one", control.ErrVersion)
		time.Sleep(time.Second)
		if s = look(t, h, s); s.Status == nil || s.Totals != nil || !strings.Contains(s.Older, "deploy a version") {
			t.Errorf("older: %+v", s)
		}
		app.totalsErr = errors.New("the answer broke off")
		time.Sleep(time.Second)
		if s = look(t, h, s); s.Status == nil || s.Totals != nil || s.Older != "" || s.Gone != "" {
			t.Errorf("without totals: %+v", s)
		}
	})
}

// flushed notes what has left the server.
type flushed struct {
	*httptest.ResponseRecorder
	out strings.Builder
}

func (f *flushed) Flush() {
	f.out.WriteString(f.Body.String())
	f.Body.Reset()
}

// Events come as they happen, and the request ends soon: an app that shows itself has to drain.
func TestEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		app := played.New("v1", 10)
		app.Plan(played.Next{Version: "v2"})
		h := Handler(Config{Source: app})
		w := &flushed{ResponseRecorder: httptest.NewRecorder()}
		began := time.Now()
		go func() { _, _ = app.Upgrade(context.Background(), control.UpgradeOptions{}) }()
		ended := make(chan bool)
		go func() {
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/events", nil))
			close(ended)
		}()
		time.Sleep(time.Second)
		synctest.Wait()
		steps := map[string]int{}
		for lines := bufio.NewScanner(strings.NewReader(w.out.String())); lines.Scan(); {
			var e control.Event
			must.Do(t, json.Unmarshal(lines.Bytes(), &e))
			steps[e.Step]++
		}
		for _, step := range []string{control.StepServing, control.StepBegun, control.StepReady, control.StepConcluded} {
			if steps[step] == 0 {
				t.Errorf("no %s after a second in %v", step, steps)
			}
		}
		if <-ended; time.Since(began) != watchFor {
			t.Errorf("the request lasted %v", time.Since(began))
		}
		late := ask(h, http.MethodGet, fmt.Sprintf("/events?since=%d", time.Now().UnixMilli()), "")
		if late.Code != http.StatusOK || late.Body.Len() > 0 {
			t.Errorf("events that are older: %d %s", late.Code, late.Body)
		}
		app.Gone(true)
		if w := ask(h, http.MethodGet, "/events", ""); !strings.Contains(w.Body.String(), `{"error":"`) {
			t.Errorf("of an app that is gone: %s", w.Body)
		}
	})
}
