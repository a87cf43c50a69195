package control

import (
	"errors"
	"io"
	"math"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serveAs is an app that answers like this.
func serveAs(t *testing.T, answer http.HandlerFunc) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	play(t, path, answer)
	return Dial(path)
}

// TestEvents_Nonsense ends the following, with the reason.
func TestEvents_Nonsense(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{"no JSON": "nonsense\n", "too long": strings.Repeat("x", maxLine+1) + "\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serveAs(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set(HeaderProtocol, "1")
				_, _ = io.WriteString(w, line)
			})
			if err := c.Events(t.Context(), time.Time{}, func(Event) {}); !errors.Is(err, ErrForeign) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestTotals_MeasureForVeryLong is a minute.
func TestTotals_MeasureForVeryLong(t *testing.T) {
	t.Parallel()
	var got atomic.Value
	c := serveAs(t, func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.URL.RawQuery)
		w.Header().Set(HeaderProtocol, "1")
		_, _ = io.WriteString(w, "{}")
	})
	if _, err := c.Totals(t.Context(), math.MaxInt64); err != nil || got.Load() != "measure_ms=60000" {
		t.Errorf("%v, %v", got.Load(), err)
	}
}
