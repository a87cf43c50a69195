//go:build unix

package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Frozen is what a supervisor knows, for another image of its process. Its JSON is read by the same version of
// this package only, because that image is the same file.
type Frozen struct {
	Name     string           `json:"name"` // the system's for this process
	Argv     []string         `json:"argv"`
	Dir      string           `json:"dir"`
	Fixed    bool             `json:"fixed"`
	Trusted  bool             `json:"trusted"`
	Workers  []frozenWorker   `json:"workers"`
	Kept     *frozenBundle    `json:"kept,omitempty"`
	Signals  frozenSignals    `json:"signals"`
	Handled  []syscall.Signal `json:"handled"`
	Next     int              `json:"next"`
	Failures int              `json:"failures"`
	Asks     int              `json:"asks"`
	Upgrade  bool             `json:"upgrade"`
	Reopen   bool             `json:"reopen"`
	Soak     soak             `json:"soak"`
	Totals   json.RawMessage  `json:"totals,omitempty"`

	env []string

	// Pending are signals that came after the supervisor was frozen.
	Pending []syscall.Signal `json:"pending,omitempty"`
	// Blocked says that signals are blocked, and Ignored that SIGHUP is ignored, from here until Resume.
	Blocked bool `json:"blocked"`
	Ignored bool `json:"ignored"`
}

type (
	frozenWorker struct {
		Link       int              `json:"link"`
		PID        int              `json:"pid"`
		Child      int              `json:"child"`
		Generation int              `json:"generation"`
		State      uint8            `json:"state"`
		Clean      bool             `json:"clean"`
		WayBack    bool             `json:"way_back"`
		Works      bool             `json:"works"`
		Waits      bool             `json:"waits"`
		Drained    bool             `json:"drained"`
		Plain      bool             `json:"plain"`
		Since      time.Time        `json:"since"`
		Release    string           `json:"release,omitempty"`
		Begun      time.Time        `json:"begun"`
		Kept       *frozenBundle    `json:"kept,omitempty"`
		Asked      []wire.SignalMsg `json:"asked,omitempty"`
		Later      []wire.SignalMsg `json:"later,omitempty"`
	}
	frozenBundle struct {
		Files []int           `json:"files"`
		Words []wire.Listener `json:"words"`
	}
	frozenSignals struct{ Upgrade, Stop, Reopen, More []syscall.Signal }
)

// ErrUnsettled is returned by Freeze while a worker ends, is started or stops: the supervisor is to be frozen a
// little later, or it is over soon.
var ErrUnsettled = errors.New("gracex: supervise: the supervisor is busy")

// Freeze stops the supervisor, and returns what it knows. Call Files of that, then replace the image of the
// process; or call Thaw.
func (e *Embedded) Freeze() (f *Frozen, err error) {
	if !e.do(func() { f, err = e.m.freeze() }) {
		return nil, ErrUnsettled
	}
	if f != nil {
		<-e.rests // the end of its Notify sets the mask of a thread anew: BlockSignals has to come after it
	}
	return f, err
}

// Thaw undoes Freeze: the supervisor goes on.
func (e *Embedded) Thaw(f *Frozen) {
	f.closeLinks()
	e.m.frozen, e.rests = false, make(chan struct{})
	for _, w := range e.m.workers {
		e.m.unpark(w)
	}
	go e.run()
}

// settled reports whether all that the supervisor knows is of workers that are there.
func (m *supervisor) settled() bool {
	for _, w := range m.workers {
		if w == m.self || w.gone || w.wayBack || len(w.launch) > 0 {
			return false
		}
	}
	return len(m.workers) > 0 && m.restart == nil && m.crash == nil && !m.ending && !m.asked
}

func (m *supervisor) freeze() (*Frozen, error) {
	if !m.settled() || !m.parkAll() || !m.settled() {
		for _, w := range m.workers {
			m.unpark(w)
		}
		return nil, ErrUnsettled
	}
	f := &Frozen{
		Name: proc.OwnName(), Argv: m.launch.Argv, Dir: m.launch.Dir, Fixed: m.launch.Fixed, Trusted: m.launch.Trusted, env: m.launch.Env,
		Kept: m.kept.freeze(), Signals: m.cfg.freezeSignals(), Handled: numbers(m.handled()),
		Next: m.next, Failures: m.failures, Asks: m.asks, Upgrade: m.upgrade, Reopen: m.reopen, Soak: m.soak, Totals: m.totals,
	}
	for _, w := range m.workers {
		link, err := w.duplicate()
		if err != nil {
			f.closeLinks()
			for _, w := range m.workers {
				m.unpark(w)
			}
			return nil, err
		}
		f.Workers = append(f.Workers, frozenWorker{
			Link: link, PID: w.pid, Child: w.child, Generation: w.generation, State: w.state, Clean: w.clean,
			WayBack: w.wayBack, Works: w.works, Waits: w.waits, Drained: w.drained, Plain: w.plain, Since: w.since, Release: w.fromRelease, Begun: w.begun,
			Kept: w.kept.freeze(), Asked: w.asked, Later: w.later,
		})
	}
	m.frozen = true
	return f, nil
}

// parkAll stops the readers of all links between two frames, and reports whether they have stopped.
func (m *supervisor) parkAll() bool {
	limit := time.After(timing.Say)
	for {
		all := true
		for _, w := range m.workers {
			w.park()
			all = all && (w.reading.parked || w.gone)
		}
		if all {
			return true
		}
		select {
		case wd := <-m.words:
			m.heard(wd)
		case <-limit:
			return false
		}
	}
}

// duplicate is a duplicate of the link's descriptor.
func (w *worker) duplicate() (int, error) {
	rc, err := w.conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	return fd.Dup(rc)
}

func (b *bundle) freeze() *frozenBundle {
	if b == nil {
		return nil
	}
	return &frozenBundle{b.files, b.words}
}

func (c Config) freezeSignals() frozenSignals {
	return frozenSignals{numbers(c.Signals.Upgrade), numbers(c.Signals.Stop), numbers(c.Signals.Reopen), numbers(c.More)}
}

func numbers(sigs []os.Signal) (n []syscall.Signal) {
	for _, s := range sigs {
		n = append(n, s.(syscall.Signal))
	}
	return n
}

func (f *Frozen) closeLinks() {
	for _, w := range f.Workers {
		_ = fd.Close(w.Link)
	}
}

// Files are the descriptors that the next image needs.
func (f *Frozen) Files() (files []int) {
	files = append(files, f.Kept.all()...)
	for _, w := range f.Workers {
		files = append(append(files, w.Link), w.Kept.all()...)
	}
	return files
}

// Environ is the environment for the next image, which hands it on to workers.
func (f *Frozen) Environ() []string { return slices.Clone(f.env) }

// String is what Resume takes.
func (f *Frozen) String() string {
	b, _ := json.Marshal(f) // it has nothing that can't be marshaled
	return string(b)
}

// BlockSignals has the signals that the supervisor handles wait, and reports whether they do.
func (f *Frozen) BlockSignals() bool { return maskSignals(true, signalsOf(f.Handled)) }

// UnblockSignals undoes it.
func (f *Frozen) UnblockSignals() { maskSignals(false, signalsOf(f.Handled)) }

// renumber gives the descriptors the numbers that they have in this image, in the order of Files.
func (f *Frozen) renumber(files []int) error {
	if had := len(f.Files()); had != len(files) {
		return fmt.Errorf("%d descriptors of %d are there", len(files), had)
	}
	next := func() (s int) {
		s, files = files[0], files[1:]
		return s
	}
	bundle := func(b *frozenBundle) {
		for i := range b.all() {
			b.Files[i] = next()
		}
	}
	bundle(f.Kept)
	for i := range f.Workers {
		f.Workers[i].Link = next()
		bundle(f.Workers[i].Kept)
	}
	return nil
}

func (b *frozenBundle) all() []int {
	if b == nil {
		return nil
	}
	return b.Files
}

// Resume supervises on in a new image of the process that Freeze was called in. files are its descriptors, in the order
// of Files. It returns what Run returns.
func Resume(cfg Config, frozen string, files []int) (code int, err error) {
	var f Frozen
	if err = json.Unmarshal([]byte(frozen), &f); err == nil {
		err = f.renumber(files)
	}
	if err != nil {
		return 1, fmt.Errorf("gracex: supervise: what this process knew before its execve can't be read: %w", err)
	}
	cfg.Signals, cfg.More = f.Signals.thaw(), signalsOf(f.Signals.More)
	m := newSupervisor(cfg, spawn.Launch{
		Argv: f.Argv, Dir: f.Dir, Fixed: f.Fixed, Trusted: f.Trusted, Env: cfg.workerEnv(), Umask: -1,
	})
	m.kept, m.next, m.failures, m.asks, m.upgrade, m.reopen = f.Kept.thaw(), f.Next, f.Failures, f.Asks, f.Upgrade, f.Reopen
	m.known, m.served, m.soak, m.totals = true, true, f.Soak, f.Totals
	if f.Blocked {
		m.blocked = signalsOf(f.Handled)
	}
	becomeSubreaper()
	signals := make(chan os.Signal, signalRoom)
	signal.Notify(signals, m.handled()...)
	if !f.Ignored {
		signal.Notify(signals, syscall.SIGHUP)
	}
	defer signal.Stop(signals)
	proc.Rename(f.Name) // the image was started by another one
	for _, fw := range f.Workers {
		if err := m.thaw(fw); err != nil {
			return 1, fmt.Errorf("gracex: supervise: link of process %d: %w", fw.PID, err)
		}
	}
	m.tellReturned() // the background work of the image before has ended with it
	m.reap()         // those that have ended meanwhile
	for _, sig := range f.Pending {
		m.signal(sig)
	}
	keepThreads()
	m.run(signals, nil)
	return m.code, m.err
}

func (m *supervisor) thaw(f frozenWorker) error {
	conn, err := fd.UnixConn(f.Link)
	if err != nil {
		return err
	}
	w := &worker{
		conn: conn, child: f.Child, generation: f.Generation, state: f.State, clean: f.Clean, wayBack: f.WayBack,
		works: f.Works, waits: f.Waits, plain: f.Plain, since: f.Since, fromRelease: f.Release, begun: f.Begun, kept: f.Kept.thaw(), asked: f.Asked, later: f.Later,
	}
	if f.PID > 0 {
		w.identify(f.PID)
	}
	m.add(w)
	if f.Drained {
		m.lingers(w)
	}
	return nil
}

func (b *frozenBundle) thaw() *bundle {
	if b == nil {
		return nil
	}
	for _, s := range b.Files {
		fd.CloseOnExec(s)
	}
	return &bundle{b.Files, b.Words}
}

func (s frozenSignals) thaw() Signals {
	return Signals{Upgrade: signalsOf(s.Upgrade), Stop: signalsOf(s.Stop), Reopen: signalsOf(s.Reopen)}
}

func signalsOf(numbers []syscall.Signal) (sigs []os.Signal) {
	for _, n := range numbers {
		sigs = append(sigs, n)
	}
	return sigs
}
