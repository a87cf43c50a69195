//go:build unix

package spec_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/health"
	"github.com/gracex-go/gracex/internal/proctest"
)

// What the test binary plays, as its environment says. A process has one Upgrader, so each server under test is a
// process, and its next generations are too: they start with the same environment.
const (
	programEnv = "SPEC_PROGRAM" // framework/method
	variantEnv = "SPEC_VARIANT" // empty, or one of the variants
	siteEnv    = "SPEC_SITE"    // theSite().dir
	stateEnv   = "SPEC_STATE"   // a directory of the server's own
)

func TestMain(m *testing.M) {
	proctest.Play(programEnv, play)
	proctest.Parallel(8)
	var programs []string
	for _, m := range methods {
		programs = append(programs, m.program)
	}
	code := proctest.Main(m, programs...)
	os.RemoveAll(theSite().dir)
	os.Exit(code)
}

// process is what a program under test has. It logs to standard error, one JSON object a line, and the test reads
// along: nothing waits by the clock.
type process struct {
	log     *slog.Logger
	opts    []core.Option
	address string // "127.0.0.1:0", or a unix socket's path
	host    string // of a TCP address
	port    int    // of a TCP address
	site    string
	state   string

	checks        []health.Check
	both          bool // net/http speaks HTTP/2 in the clear, too
	headerTimeout time.Duration
	others        []*process // further servers, by the same run method in goroutines

	stopping sync.WaitGroup // stops that have not returned: net/http's notices late that all is done

	// stops are the program's own ways to stop gracefully, by name.
	stops map[string]func() error
	// built is told of the app before it is served.
	built func(app http.Handler)
	// returned is told that it is not served any more.
	returned func()
}

func newProcess(address string) *process {
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p := &process{
		log:      log,
		opts:     []core.Option{core.WithLogger(log), core.WithDrainTimeout(20 * time.Second), core.WithProbation(0)},
		address:  address,
		site:     os.Getenv(siteEnv),
		state:    os.Getenv(stateEnv),
		stops:    map[string]func() error{},
		built:    func(http.Handler) {},
		returned: func() {},
	}
	if host, port, err := net.SplitHostPort(p.address); err == nil {
		p.host = host
		p.port, _ = strconv.Atoi(port)
	}
	return p
}

func play(name string) int {
	p := newProcess(os.Args[1])
	if v := os.Getenv(variantEnv); v != "" {
		variants[v](p)
	}
	i := slices.IndexFunc(methods, func(m method) bool { return m.program == name })
	var others sync.WaitGroup
	for _, p := range p.others {
		others.Go(func() {
			if err := methods[i].serve(p); err != nil {
				p.say("returned", "error", err)
			}
		})
	}
	err := methods[i].serve(p)
	others.Wait()
	p.returned()
	p.stopping.Wait()
	if err != nil {
		p.say("returned", "error", err)
		return 1
	}
	p.say("returned")
	return 0
}

// say logs which process says it too, as the core does.
func (p *process) say(msg string, args ...any) {
	p.log.Info(msg, append(args, "generation", core.Generation(), "own_pid", os.Getpid())...)
}

// variants are what differs from one program to another besides the run method.
var variants = map[string]func(p *process){
	"bad":  rejectsItself,
	"both": func(p *process) { p.both = true },
	"cut": func(p *process) {
		p.opts = append(p.opts, core.WithDrainTimeout(100*time.Millisecond), core.OnDrainTimeout(func(left core.Remaining) {
			p.say("drain timeout", "left", left.Requests)
		}))
	},
	"hooks": func(p *process) {
		p.checks = p.ownChecks()
		var tries atomic.Int32
		p.opts = append(p.opts,
			core.OnPreFork(func(context.Context) error {
				if tries.Add(1) == 1 {
					return os.ErrPermission
				}
				return nil
			}),
			core.OnPostFork(func(_ context.Context, pid int) { p.say("forked", "new", pid) }),
			core.WithPreStopDelay(time.Hour))
	},
	"second port": func(p *process) {
		p.opts = append(p.opts, core.AlsoServe("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			identify(w.Header(), r)
		}), core.Named("second")))
	},
	"two calls": func(p *process) {
		other := newProcess("127.0.0.1:0")
		other.opts = p.opts
		p.others = append(p.others, other)
	},
	"slow header": func(p *process) { p.headerTimeout = time.Second },
	"states":      logStates,
}

// ownChecks fail and hang while there are files.
func (p *process) ownChecks() []health.Check {
	there := func(name string) bool {
		_, err := os.Stat(filepath.Join(p.state, name))
		return err == nil
	}
	return []health.Check{{
		Name: "disk", Run: func(context.Context) error {
			if there("full") {
				return os.ErrPermission
			}
			return nil
		},
	}, {
		Name: "database", Timeout: time.Second, Run: func(context.Context) error {
			for there("hangs") { // whatever the context says
				time.Sleep(time.Millisecond)
			}
			return nil
		},
	}}
}
