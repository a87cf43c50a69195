package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/faultkit/internal/own"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// storm is one way to upgrade the kit's own server without a rest.
type storm struct {
	name      string
	env       []string
	probation time.Duration
	strike    func(*gale) error // one strike; its error ends the storm
	grows     bool              // what a process holds is compared at the end
}

// storms are what a run has, each for the same time.
var storms = []storm{
	{name: "upgrades, rollbacks and signals", probation: 150 * time.Millisecond, strike: (*gale).deploy},
	{name: "kill -9 and SIGSTOP", probation: 150 * time.Millisecond, strike: (*gale).hurt},
	{
		name: "supervised", env: []string{wire.EnvMode + "=supervised"},
		probation: 150 * time.Millisecond, strike: (*gale).hurtWorkers,
	},
	{name: "an upgrade every 20 ms", strike: (*gale).hurry, grows: true},
}

// The pauses of a storm.
const (
	hurryPause  = 20 * time.Millisecond
	deployPause = 400 * time.Millisecond // at most
	hurtPause   = 600 * time.Millisecond // at most, from the signal to the kill: before, in and after the probation, and in the drain
	stillTime   = 300 * time.Millisecond // at most
	crashPause  = 500 * time.Millisecond // a supervisor waits longer and longer for a worker that crashes again and again
)

// gale is a storm under way.
type gale struct {
	*options
	storm
	ctx     context.Context
	dir     string
	rng     *rand.Rand
	target  *target
	group   *group
	witness *witness
	client  *control.Client

	upgrades, rollbacks, signals, kills, stops int
}

// runStorms is the kit's main in a storm. Its error says what has not held.
func (o *options) runStorms(ctx context.Context, out io.Writer) error {
	if o.seed == 0 {
		o.seed = rand.Uint64N(1 << 32)
	}
	v := newVerdict(out)
	v.say("storm: for %v, to be repeated with -seed %d", o.stormFor, o.seed)
	chosen := slices.DeleteFunc(slices.Clone(storms), func(s storm) bool { return o.cells != nil && !o.cells.MatchString(s.name) })
	for i, kind := range chosen {
		if ctx.Err() != nil {
			v.say("stopping early")
			break
		}
		g := &gale{options: o, storm: kind, ctx: ctx, rng: rand.New(rand.NewPCG(o.seed, uint64(i)))}
		if err := g.blow(v, o.stormFor/time.Duration(len(chosen))); err != nil {
			v.fail(checkStorm, "%s: %v", kind.name, err)
		}
	}
	return v.err()
}

// blow starts the server, strikes for that time, ends it, and judges.
func (g *gale) blow(v *verdict, lasting time.Duration) (err error) {
	before := v.failed()
	if g.dir, err = os.MkdirTemp("", "gxs"); err != nil {
		return err
	}
	defer os.RemoveAll(g.dir)
	log, err := os.Create(filepath.Join(g.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	if err := g.start(log); err != nil {
		return err
	}
	defer g.group.clear()
	g.witness = startWitness(g.target, g.short)
	var first held
	if err = g.wait("answers to every kind of client", g.witness.flowing); err == nil {
		first = heldBy(g.current())
		striking, enough := context.WithTimeout(g.ctx, lasting)
		for err == nil && striking.Err() == nil {
			err = g.strike(g)
		}
		enough()
	}
	if err == nil {
		err = g.calm()
	}
	after := heldBy(g.current())
	g.witness.stop()
	err = errors.Join(err, g.end())
	ran, rerr := readRuns(filepath.Join(g.dir, own.Runs))
	err = errors.Join(err, rerr)
	g.witness.judge(v, g.name, ran)
	if g.grows {
		first.compare(after, v, g.name)
	}
	v.say("%s: %v; %d upgrades asked for and done, %d rollbacks, %d signals, %d kills, %d stops, %d processes",
		g.name, g.witness, g.upgrades, g.rollbacks, g.signals, g.kills, g.stops, len(ran.processes))
	if err != nil || v.failed() > before {
		v.say("its log: %s", g.keep(log.Name()))
	}
	return err
}

// keep moves the log to a place where it stays.
func (g *gale) keep(log string) string {
	to, err := os.CreateTemp("", "storm-*.log")
	if err == nil {
		defer to.Close()
		err = os.Rename(log, to.Name())
	}
	if err != nil {
		return err.Error()
	}
	return to.Name()
}

// start starts the server, and returns when it answers.
func (g *gale) start(log *os.File) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	if g.target, err = newTarget("http://127.0.0.1:" + port + "/"); err != nil {
		return err
	}
	g.client = control.Dial(filepath.Join(g.dir, own.Control))
	g.group, err = startGroup(&exec.Cmd{
		Path: g.program[0], Dir: g.dir, Stdout: log, Stderr: log,
		Args: []string{
			g.program[0], "-storm", g.dir, "-addr", g.target.addr, "-pidfile", g.pidPath(),
			"-probation", g.probation.String(), "-ready", startTimeout.String(),
		},
		Env: append([]string{"PWD=" + g.dir, "GORACE=" + os.Getenv("GORACE") + " atexit_sleep_ms=0"}, g.env...),
	}, g.dir)
	if err != nil {
		return err
	}
	err = g.wait("an answer of the first process", func() bool {
		_, err := g.target.owner(g.ctx, g.group, askTime)
		return err == nil || len(g.group.programs()) == 0
	})
	if err == nil && len(g.group.programs()) == 0 {
		err = errors.New("the server has ended at its start")
	}
	if err != nil {
		g.group.clear()
	}
	return err
}

// deploy upgrades by the control socket, takes some upgrades back, and sends signals close together.
func (g *gale) deploy() error {
	defer func() { _ = pause(g.ctx, time.Duration(g.rng.Int64N(int64(deployPause)))) }()
	switch r := g.rng.IntN(10); {
	case r < 6:
		g.upgrade()
	case r < 8:
		done := make(chan struct{})
		go func() {
			defer close(done)
			g.upgrade()
		}()
		for tries := 0; tries < 8 && g.client.Rollback(g.ctx, "on purpose") != nil; tries++ {
			_ = pause(g.ctx, 20*time.Millisecond) // until the upgrade is on probation
		}
		<-done
	default:
		pid := g.current()
		for range 3 {
			g.signal(pid, syscall.SIGUSR2)
			_ = pause(g.ctx, time.Duration(g.rng.Int64N(int64(9*time.Millisecond))))
		}
	}
	return g.serves()
}

// upgrade asks for an upgrade and follows it.
func (g *gale) upgrade() {
	ctx, cancel := context.WithTimeout(g.ctx, g.bound)
	defer cancel()
	switch o, err := g.client.Upgrade(ctx, control.UpgradeOptions{}); {
	case err != nil: // another one is under way, or the process has handed over since
	case o.OK:
		g.upgrades++
	case o.Kind == control.KindRolledBack:
		g.rollbacks++
	}
}

// hurt upgrades, and kills or stops one of the two processes, or stops both.
func (g *gale) hurt() error {
	if err := g.calm(); err != nil {
		return err
	}
	old := g.current()
	// The old process can't end before it has answered this. So when the new one is killed, it is there to serve on.
	held, err := g.target.begin(g.ctx, g.group, g.bound)
	if err != nil {
		return err
	}
	defer held.Close()
	if held.pid != old {
		return fmt.Errorf("process %d serves, and the pid file names %d", held.pid, old)
	}
	g.signal(old, syscall.SIGUSR2)
	_ = pause(g.ctx, time.Duration(g.rng.Int64N(int64(hurtPause))))
	both := g.group.programs()
	if len(both) == 0 { // while /proc was read, or nobody is left
		return g.serves()
	}
	switch victim := both[g.rng.IntN(len(both))]; {
	case len(both) < 2: // there is no new process yet, or none any more
		err = held.finish(g.bound)
	case g.rng.IntN(3) == 0:
		if err = g.still(both...); err == nil {
			err = held.finish(g.bound)
		}
	case victim == old:
		err = g.kill(victim)
	default:
		if err = g.kill(victim); err == nil {
			err = held.finish(g.bound)
		}
	}
	if err != nil {
		return err
	}
	return g.serves()
}

// hurtWorkers kills and stops workers, stops their supervisor, and sends signals to all.
func (g *gale) hurtWorkers() error {
	supervisor := g.group.PID()
	workers := slices.DeleteFunc(g.group.programs(), func(pid int) bool { return pid == supervisor })
	var err error
	switch r := g.rng.IntN(6); {
	case r == 0 || len(workers) == 0:
		g.signal(supervisor, syscall.SIGHUP)
	case r == 1:
		for _, pid := range workers {
			g.signal(pid, syscall.SIGUSR2)
		}
	case r == 2:
		err = g.kill(workers[g.rng.IntN(len(workers))])
		_ = pause(g.ctx, crashPause)
	case r == 3:
		err = g.still(supervisor)
		g.signal(supervisor, syscall.SIGHUP)
	case r == 4:
		err = g.still(workers[g.rng.IntN(len(workers))])
	default:
		g.signal(supervisor, syscall.SIGUSR1)
	}
	_ = pause(g.ctx, time.Duration(g.rng.Int64N(int64(crashPause))))
	if err == nil && !g.group.Has(supervisor) {
		err = errors.New("the supervisor has ended")
	}
	return err
}

// hurry asks for the next upgrade at once.
func (g *gale) hurry() error {
	g.signal(g.current(), syscall.SIGUSR2)
	_ = pause(g.ctx, hurryPause)
	return nil
}

func (g *gale) signal(pid int, sig os.Signal) {
	if g.group.Signal(pid, sig) == nil { // it may have ended since the look
		g.signals++
	}
}

// kill stops a process, excuses what it alone has, and kills it. What a younger process has too is on its way there, and
// has to live.
func (g *gale) kill(pid int) error {
	switch err := g.group.Freeze(pid); {
	case errors.Is(err, os.ErrProcessDone):
		return nil
	case err != nil:
		return err
	}
	conns, err := connsOf(pid)
	if err != nil {
		return err
	}
	for _, other := range g.group.programs() {
		if other == pid || startOf(other) < startOf(pid) {
			continue
		}
		held, err := connsOf(other)
		if err != nil {
			return err
		}
		for c := range held {
			delete(conns, c)
		}
	}
	g.witness.excuse(conns)
	g.kills++
	if err := g.group.Signal(pid, syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) { // its end had begun before
		return err
	}
	return nil
}

// still stops processes for a moment.
func (g *gale) still(pids ...int) error {
	for _, pid := range pids {
		if err := g.group.Freeze(pid); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
	}
	g.stops++
	_ = pause(g.ctx, time.Duration(g.rng.Int64N(int64(stillTime))))
	var failed error
	for _, pid := range pids {
		if err := g.group.Thaw(pid); err != nil && !errors.Is(err, os.ErrProcessDone) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// calm waits until one process is left, or the supervisor with one worker.
func (g *gale) calm() error {
	want := 1
	if g.env != nil {
		want = 2
	}
	return g.wait("one process that serves", steady(calm, func() int {
		if n := len(g.group.programs()); n != want && n != 0 {
			return -1
		}
		return g.current()
	}))
}

// serves asks for an answer. It is an error if nobody gives one.
func (g *gale) serves() error {
	if _, err := g.target.owner(g.ctx, g.group, g.bound); err != nil && g.ctx.Err() == nil {
		return fmt.Errorf("nobody serves; there are %v: %w", g.group.members(), err)
	}
	return nil
}

// end stops the service, and waits until no process is left.
func (g *gale) end() error {
	pid := g.current()
	if g.env != nil {
		pid = g.group.PID()
	}
	if err := g.group.Signal(pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop: %w; there are %v", err, g.group.members())
	}
	return g.wait("the end of all processes after SIGTERM", g.group.empty)
}

func (g *gale) pidPath() string { return filepath.Join(g.dir, own.PIDFile) }

// current is the process that the pid file names; 0 for none.
func (g *gale) current() int { return procgroup.ReadPIDFile(g.pidPath()) }

// wait waits until cond holds, at most for the bound. The end of ctx does not end it: the storm ends in good order.
func (g *gale) wait(what string, cond func() bool) error {
	if err := within(context.WithoutCancel(g.ctx), g.bound, cond); err != nil {
		return fmt.Errorf("not within %v: %s; there are %v", g.bound, what, g.group.members())
	}
	return nil
}
