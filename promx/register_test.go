package promx_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/promx"
)

// Handler serves the program's own metrics beside ours, and ours once. It is not parallel: there is one default
// registry.
func TestHandler(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	registerer, gatherer := prometheus.DefaultRegisterer, prometheus.DefaultGatherer
	t.Cleanup(func() { prometheus.DefaultRegisterer, prometheus.DefaultGatherer = registerer, gatherer })
	prometheus.DefaultRegisterer, prometheus.DefaultGatherer = reg, reg
	own := prometheus.NewCounter(prometheus.CounterOpts{Name: "shop_orders_total", Help: "Orders."})
	prometheus.MustRegister(own)
	own.Inc()
	h := promx.Handler()
	check := func(when string) {
		t.Helper()
		text := scrape(t, h)
		for _, line := range []string{"shop_orders_total 1", `gracex_upgrades_total{outcome="upgraded",reason=""} 0`, "gracex_generation 0"} {
			if n := strings.Count(text, "\n"+line+"\n"); n != 1 {
				t.Errorf("%s: %q is there %d times\n%s", when, line, n, text)
			}
		}
	}
	check("nothing is registered")
	if len(must.Get(reg.Gather())(t)) != 1 {
		t.Error("Handler has changed the default registry")
	}
	must.Do(t, promx.Register(prometheus.DefaultRegisterer))
	check("it is registered")
	twice := prometheus.AlreadyRegisteredError{}
	if err := promx.Register(prometheus.DefaultRegisterer); !errors.As(err, &twice) {
		t.Errorf("registered twice: %v", err)
	}

	// What is wrong with the program's own is no silence.
	reg.MustRegister(broken{})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "on purpose") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestMustRegister(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	promx.MustRegister(reg)
	defer func() {
		if recover() == nil {
			t.Error("it does not panic")
		}
	}()
	promx.MustRegister(reg)
}

// broken is a collector that fails.
type broken struct{}

var brokenDesc = prometheus.NewDesc("broken", "It is.", nil, nil)

func (broken) Describe(ch chan<- *prometheus.Desc) { ch <- brokenDesc }

func (broken) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(brokenDesc, errors.New("on purpose"))
}

// scrape asks a handler, in the way of Prometheus.
func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	resp := must.Get(http.Get(srv.URL))(t)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	return string(must.Get(io.ReadAll(resp.Body))(t))
}
