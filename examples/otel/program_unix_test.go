//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/otelx"
	"github.com/gracex-go/gracex/otelx/totals"
)

const (
	envProgram  = "OTEL_TEST_PROGRAM"
	envSettings = "OTEL_TEST_SETTINGS" // a file: see settings
)

func TestMain(m *testing.M) {
	proctest.Play(envProgram, func(name string) int {
		if name == "main" {
			main()
			return 0
		}
		return server()
	})
	os.Exit(proctest.Main(m, "server", "main"))
}

// settings are those of the program. Each process reads the file when it starts, and before it upgrades.
type settings struct {
	Addr, PIDFile, Control string
	Vetoes                 bool // it starts no new process
	NotReady               bool // it does not get ready
	Rejects                bool // it finds itself bad on its probation
	Totals                 bool // the current process tells the counts of the service
}

func readSettings() (s settings) {
	b, err := os.ReadFile(os.Getenv(envSettings))
	if err != nil || json.Unmarshal(b, &s) != nil {
		fmt.Fprintln(os.Stderr, "no settings:", err)
		os.Exit(2)
	}
	return s
}

// server is the program of main, which can be bad.
func server() int {
	s := readSettings()
	shutdown, err := telemetry(context.Background())
	metrics := otelx.Metrics
	if s.Totals && err == nil {
		spans := shutdown
		var counts func(context.Context)
		counts, err = serviceTotals(context.Background())
		shutdown = func(ctx context.Context) { spans(ctx); counts(ctx) }
		metrics = func(...otelx.Option) core.Option { return nil }
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if s.Rejects {
		go func() {
			for core.Status().State < core.StateCurrent {
				time.Sleep(time.Millisecond)
			}
			_ = core.Reject(errors.New("it finds itself bad"))
		}()
	}
	err = core.ListenAndServe(s.Addr, http.HandlerFunc(hold),
		core.WithPIDFile(s.PIDFile), core.WithControlSocket(s.Control),
		core.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
		core.WithProbation(time.Hour), // it is promoted
		core.OnPreFork(func(context.Context) error {
			if readSettings().Vetoes {
				return errors.New("it is Friday")
			}
			return nil
		}),
		core.WithReadyCheck(func(context.Context) error {
			if s.NotReady {
				return errors.New("the database is gone")
			}
			return nil
		}),
		otelx.Trace(), metrics(), core.OnEnd(shutdown),
	)
	if err != nil && !errors.Is(err, core.ErrCut) && !errors.Is(err, core.ErrAborted) {
		fmt.Fprintln(os.Stderr, "program:", err)
		return 1
	}
	return 0
}

// hold answers at once, or on the path /hold when the client has gone.
func hold(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if r.URL.Path == "/hold" {
		<-r.Context().Done()
	}
}

// serviceTotals is telemetry for a receiver that is to see one service.
func serviceTotals(ctx context.Context) (shutdown func(context.Context), err error) {
	exporter, err := otlpmetricgrpc.New(ctx)
	if err != nil {
		return nil, err
	}
	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(totals.NewProducer()))
	provider := metric.NewMeterProvider(metric.WithReader(reader), metric.WithResource(resource.Environment()))
	return func(ctx context.Context) { _ = provider.Shutdown(ctx) }, nil
}

// running is the program, which sends to a receiver.
type running struct {
	*proctest.Program
	*receiver
	settings
	t         *testing.T
	dir, file string
	seen      map[string]bool // the spans of upgrades so far
}

func start(t *testing.T, change ...func(*settings)) *running {
	t.Helper()
	p := install(t)
	for _, f := range change {
		f(&p.settings)
	}
	p.write()
	p.run("server")
	return p
}

// install makes room for the program, and starts its receiver.
func install(t *testing.T) *running {
	t.Helper()
	dir := must.Get(os.MkdirTemp("", "otel"))(t) // its path is short enough for a socket
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &running{t: t, receiver: listen(t), dir: dir, file: filepath.Join(dir, "settings"), seen: map[string]bool{}, settings: settings{
		Addr: proctest.FreeAddr(t), PIDFile: filepath.Join(dir, "pid"), Control: filepath.Join(dir, "s"),
	}}
}

// run starts the program of that name, and returns when it serves.
func (p *running) run(name string, args ...string) {
	p.t.Helper()
	cmd := exec.Command(must.Get(os.Executable())(p.t), args...)
	cmd.Env = append(os.Environ(), envProgram+"="+name, envSettings+"="+p.file, "XDG_RUNTIME_DIR="+p.dir,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://"+p.receiver.addr, "OTEL_SERVICE_NAME=shop", "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_METRIC_EXPORT_INTERVAL=100")
	p.Program = proctest.Start(p.t, cmd)
	p.t.Cleanup(func() {
		if p.Log.Count("DATA RACE")+p.Log.Count("panic:") > 0 {
			p.t.Errorf("a process has complained:\n%s", p.Log)
		}
	})
	p.AwaitPID(p.PIDFile, 0)
}

func (p *running) write() {
	p.t.Helper()
	tmp := p.file + ".new"
	must.Do(p.t, os.WriteFile(tmp, must.Get(json.Marshal(p.settings))(p.t), 0o600))
	must.Do(p.t, os.Rename(tmp, p.file))
}

// upgrade upgrades the program with other settings, and returns the outcome and how the upgrade is named in its spans. A
// probation is passed, unless the new process finds itself bad.
func (p *running) upgrade(change func(*settings)) (o control.Outcome, id string) {
	p.t.Helper()
	good := p.settings
	change(&p.settings)
	p.write()
	ctx, cancel := context.WithTimeout(context.Background(), proctest.Patience)
	defer cancel()
	c := control.Dial(p.Control)
	promoted := make(chan error, 1)
	o = must.Get(c.Upgrade(ctx, control.UpgradeOptions{Events: func(e control.Event) {
		if e.Step == control.StepProbation && !p.Rejects {
			go func() { promoted <- c.Promote(ctx) }()
		}
	}}))(p.t)
	if o.OK {
		must.Do(p.t, <-promoted)
	}
	p.settings = good
	p.write()
	p.Await("the span of the upgrade is received", func() bool {
		roots := p.where(func(s span) bool { return s.name == "gracex.upgrade" && !p.seen[s.id] })
		if len(roots) == 0 {
			return false
		}
		p.seen[roots[0].id] = true
		id, _ = roots[0].attrs["gracex.upgrade.id"].(string)
		return true
	})
	return o, id
}

// ask sends requests, each over a connection of its own.
func (p *running) ask(n int) {
	p.t.Helper()
	for range n {
		must.Get(load.Ask(load.Config{Addr: p.Addr, Method: http.MethodGet, Path: "/", Timeout: proctest.Patience}, ""))(p.t)
	}
}

// stop stops the service, and returns when all its processes have ended.
func (p *running) stop() {
	p.t.Helper()
	p.Signal(p.AwaitPID(p.PIDFile, 0), syscall.SIGTERM)
	if status := p.AwaitEnd(); status != 0 {
		p.t.Errorf("generation 0 has ended with status %d", status)
	}
}
