package core

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"
)

// runWait is how long a process that took listeners over waits for further calls of Run, after each
// that has come. The old process serves meanwhile.
var runWait = 5 * time.Second

// runSteps is in how many parts it waits. A process that has stood still meanwhile, such as one of a machine that was
// paused, has waited for one of them at the most, and its other calls can still come.
const runSteps = 10

// runs are the calls of Run that share the Upgrader, one for each server of programs that start
// their servers in goroutines. The zero runs has none, for an Upgrader that New has made.
type runs struct {
	mu    sync.Mutex
	begun int           // calls
	setUp int           // of those, whose setup has returned
	news  chan struct{} // closed when one more has; nil unless somebody waits
}

// count is how many calls there are.
func (r *runs) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.begun
}

func (r *runs) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun++
}

// isSetUp notes that the setup of a call has returned.
func (r *runs) isSetUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setUp++
	if r.news != nil {
		close(r.news)
		r.news = nil
	}
}

// await returns how many calls are set up, and a channel that is closed when there is one more.
func (r *runs) await() (setUp int, more <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.news == nil {
		r.news = make(chan struct{})
	}
	return r.setUp, r.news
}

// newOrJoin makes the Upgrader of this process for a call of Run, or returns the one that another
// call has made.
func newOrJoin(opts []Option) (u *Upgrader, first bool, err error) {
	joining.Lock() // two calls at once are one after the other
	defer joining.Unlock()
	u = running.Load()
	if u == nil || isClosed(u.phase.done) || u.runs.count() == 0 {
		if u, err = New(opts...); err == nil {
			u.runs.begin()
		}
		return u, true, err
	}
	cfg := newConfig(opts)
	if differ := u.cfg.differs(&cfg); differ != "" {
		return nil, false, because(ErrRunning, fmt.Errorf("this call has other options than the one before (%s); "+
			"give every call the same options, or serve all with one call (core.AlsoServe)", differ))
	}
	u.runs.begin()
	return u, false, nil
}

// joining is held while a call of Run makes an Upgrader, or joins one.
var joining sync.Mutex

// join is Run for a call that has found the Upgrader of another one.
func (u *Upgrader) join(setup func(*Upgrader) error) error {
	err := setup(u)
	if err != nil && u.State() == StateStarting {
		u.servers.fail(err) // the old process, all of whose servers serve, serves on
	}
	u.runs.isSetUp()
	if err != nil {
		return err
	}
	return u.wait()
}

// awaitRuns waits for the calls of Run that the old process has had. Their listeners would be
// closed otherwise, as not used any more. It gives up when all are claimed, and when no call has come
// for runWait, because the new version may have fewer servers.
//
// A call that has come is waited for until its setup has returned, as long as the old process waits for this one. It
// may have claimed its listener, and a connection that moves would find no server there yet.
func (u *Upgrader) awaitRuns() {
	for left := runSteps; ; left-- {
		setUp, more := u.runs.await()
		under := u.inherited.old != nil && setUp < u.runs.count()
		if setUp == 0 || !under && setUp >= u.unclaimedRuns() || u.servers.failure() != nil {
			return
		}
		if left <= 0 && !under {
			u.log.Warn("the old process had more servers, and this version has not started them: their listeners are closed",
				"servers", u.unclaimedRuns(), "started", setUp, "waited", runWait)
			return
		}
		select {
		case <-more:
			left = runSteps + 1
		case <-u.phase.life.Done():
			return
		case <-time.After(runWait / runSteps):
		}
	}
}

// unclaimedRuns is how many calls of Run the old process had, if listeners of it are not claimed yet.
func (u *Upgrader) unclaimedRuns() (n int) {
	u.inherited.mu.Lock()
	defer u.inherited.mu.Unlock()
	for _, in := range u.inherited.unclaimed {
		n = max(n, in.Runs)
	}
	return n
}

// differs names the options that are not the same in another configuration. Functions can't be
// compared, so of hooks and checks the number counts, and of loggers that there is one.
func (c *config) differs(other *config) string {
	var names []string
	a, b := reflect.ValueOf(c).Elem(), reflect.ValueOf(other).Elem()
	for i := range a.NumField() {
		if !alike(a.Field(i), b.Field(i)) {
			field := a.Type().Field(i).Name
			names = append(names, cmp.Or(optionNames[field], field))
		}
	}
	if (c.log.Handler() == slog.DiscardHandler) != (other.log.Handler() == slog.DiscardHandler) {
		names = append(names, "WithLogger")
	}
	return strings.Join(names, ", ")
}

// optionNames are the options that set the fields of config.
var optionNames = map[string]string{
	"preFork":        "OnPreFork",
	"serverName":     "WithServerName",
	"onEvent":        "OnEvent",
	"upgradeContext": "WithUpgradeContext",
	"postFork":       "OnPostFork",
	"preStopDelay":   "WithPreStopDelay",
	"drainTimeout":   "WithDrainTimeout",
	"onDrainLimit":   "OnDrainTimeout",
	"readyTimeout":   "WithReadyTimeout",
	"readyChecks":    "WithReadyCheck",
	"reopen":         "OnReopen",
	"probation":      "WithProbation",
	"share":          "WithProbationShare",
	"maxDraining":    "WithMaxDraining",
	"handoff":        "WithConnectionHandoff",
	"tickets":        "WithTicketKeys",
	"tlsHandoff":     "WithTLSHandoff",
	"pidFile":        "WithPIDFile",
	"control":        "WithControlSocket",
	"version":        "WithVersion",
	"signals":        "WithSignals",
	"workDir":        "WithWorkingDirectory",
	"workDirErr":     "WithWorkingDirectory",
	"trusted":        "WithTrustedBinary",
	"trustedErr":     "WithTrustedBinary",
	"operators":      "WithOperators",
	"operatorsErr":   "WithOperators",
	"environment":    "WithEnvironment",
	"onEnd":          "OnEnd",
	"work":           "WhileCurrent",
	"onSignal":       "OnSignal",
	"signalErr":      "OnSignal",
	"keepAlive":      "WithKeepAlive",
	"also":           "AlsoServe",
	"log":            "WithLogger",
}

// alike compares values as far as they say something. It does not look into loggers and servers,
// which others use.
func alike(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Func:
		return a.IsNil() == b.IsNil()
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !alike(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Struct:
		for i := range a.NumField() {
			if !alike(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Pointer:
		opaque := a.Type() == reflect.TypeFor[*slog.Logger]() || a.Type() == reflect.TypeFor[*http.Server]()
		if opaque || a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return alike(a.Elem(), b.Elem())
	case reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return a.Elem().Type() == b.Elem().Type() && alike(a.Elem(), b.Elem())
	}
	return a.Equal(b)
}
