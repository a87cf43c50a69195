package foreign

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Start is how another program has started this process.
type Start struct {
	Protocol string   // its name, for logs and errors
	Sign     string   // the variable or flag by which it was known
	Sockets  []Socket // that were passed
	Owned    bool     // the sockets are that program's, and the paths of unix sockets among them
	Vars     []string // "name=value", as they were; Take has taken them out of the environment
	Parent   *Parent  // that this process replaces; nil without one
	Master   *Master  // that starts every version itself; nil without one
	Doubt    error    // why a process that was claimed to be the old one is not believed to be; nil for none

	args   []string     // the arguments without the flag; nil if there was none
	open   func() error // reads what is not in the environment; nil for nothing
	kinds  []wire.Kind  // that the sockets may be; nil for any
	inodes []uint64     // by which the sockets are known; by Take
}

// Socket is one descriptor that was passed.
type Socket struct {
	FD   int
	Kind wire.Kind // by Take
	Name string    // what its owner calls it; "" for none

	// The words that its owner has opened it with; "" where it does not say.
	Network, Address string
}

// Parent is an old process that this one replaces.
type Parent struct {
	Obeys   bool         // SIGTERM tells it that this process serves; else it goes by itself
	Tell    func() error // tells it in another way; nil for none
	Process *os.Process  // it runs this program, where the system can show that; nil: it gets no signal
}

// Master is a process that starts the next version itself, and outlives it. A second one that
// this process started would serve beside that.
type Master struct {
	PID    int    // its process number
	Name   string // what it is called in errors
	Remedy string // how it is asked for a new version

	Leads     bool         // this process is to end with it
	OldWorker int          // is told by SIGTERM that this process serves; 0 for none
	Ready     func() error // tells the master that this process serves; nil for none
	Retire    os.Signal    // that this process gets when the next one is there, or is to be; nil for SIGTERM
	Released  func() error // tells the master that this process has closed its listeners; nil for none
	Dismiss   os.Signal    // ends it, and comes to its workers as SIGTERM; nil: it ends when they have
	shown     func() error // why the system does not show that it is the master; nil: it runs this program
	Unlinks   bool         // it removes the paths of its unix sockets when it ends

	lookUp  sync.Once
	process *os.Process
	err     error
}

// Process is the master's. It is looked up once: a process whose number is used again later is not
// it, where the system has handles.
func (m *Master) Process() (*os.Process, error) {
	m.lookUp.Do(func() { m.process, m.err = os.FindProcess(m.PID) })
	return m.process, m.err
}

// Shown reports why the system does not show that the process is the master, where it can.
func (m *Master) Shown() error {
	switch {
	case m.shown != nil:
		return m.shown()
	case !proc.RunsThisProgram(m.PID):
		return proc.NotShown(m.PID, "does not run this program")
	}
	return nil
}

// Signal sends sig to the master, if the system shows that it is that.
func (m *Master) Signal(sig os.Signal) error {
	p, err := m.Process() // the handle first, then the check
	if err == nil {
		err = m.Shown()
	}
	if err != nil {
		return err
	}
	return p.Signal(sig)
}

// Surroundings are what a process can see of how it was started.
type Surroundings struct {
	LookupEnv func(string) (string, bool)
	Args      []string
	PID       int
	Parent    int
	Listens   func(descriptor int) bool
	Ancestor  func() bool  // the system shows that an old version of this program has started this one
	Replaces  func() error // why that is not so; nil also where it can't be told, os.ErrProcessDone if it has ended
}

// Getenv returns a variable's value, "" if it is not set.
func (in Surroundings) Getenv(name string) string {
	v, _ := in.LookupEnv(name)
	return v
}

// has reports whether a variable is set, be it to nothing.
func (in Surroundings) has(name string) bool {
	_, ok := in.LookupEnv(name)
	return ok
}

// protocol is one way of passing sockets on.
type protocol struct {
	name  string
	vars  []string    // that are its own; the first one names it in errors
	kinds []wire.Kind // what it can pass; nil for anything
	shown func(in Surroundings) bool
	read  func(in Surroundings, s *Start) error
}

// protocols are tried in this order: systemd's comes before grace's, which has the same variable. Those that are
// shown by a word that anybody might choose come after the ones whose descriptor 3 can be a listener, too.
var protocols = []protocol{endless, graceful, tableflip, overseer, starter, einhorn, systemd, gracehttp, grace, activator, gracefulFlag, upgradeFlag}

// Read says how this process was started, by the first protocol that shows itself; nil for none.
func Read(in Surroundings) (*Start, error) {
	for _, p := range protocols {
		if !p.shown(in) {
			continue
		}
		s := &Start{Protocol: p.name, kinds: p.kinds}
		if len(p.vars) > 0 {
			s.Sign = p.vars[0]
		}
		for _, name := range p.vars {
			if v, ok := in.LookupEnv(name); ok {
				s.Vars = append(s.Vars, name+"="+v)
			}
		}
		if err := p.read(in, s); err != nil {
			return s, err
		}
		s.believe(in)
		return s, nil
	}
	return nil, nil
}

// Variables are the names of all environment variables that are protocols' own.
func Variables() (names []string) {
	for _, p := range protocols {
		names = append(names, p.vars...)
	}
	return names
}

// believe looks whether the parent is what it is claimed to be. If not, the sockets are those of whoever has opened
// them for this process. A parent that is told by something that it has passed still hears it there.
func (s *Start) believe(in Surroundings) {
	if s.Parent == nil {
		return
	}
	err := in.Replaces()
	if err == nil || errors.Is(err, os.ErrProcessDone) { // it has gone by itself
		return
	}
	s.Doubt = err
	if s.Parent.Tell == nil {
		s.Parent, s.Owned = nil, true
	}
}

// hold takes a handle of the old process, which is kept until that is gone: a signal can't come to another process
// then. It is opened when the descriptors that were passed are known to be open, so that it does not look like one.
func (s *Start) hold() {
	if s.Parent != nil && s.Doubt == nil {
		s.Parent.Process, _ = proc.OldVersion()
	}
}

// Ignored names a word of a protocol that this process was started with and that does not count, because descriptor 3
// is no listener; "" for none. Anybody might have chosen it for something else.
func Ignored(in Surroundings) string {
	if in.Listens(first) {
		return ""
	}
	for _, name := range gracehttp.vars {
		if v, ok := in.LookupEnv(name); ok {
			return name + "=" + v
		}
	}
	for _, flag := range []string{flagGraceful, flagUpgrade} {
		if i := place(in.Args, flag); i > 0 {
			return in.Args[i]
		}
	}
	return ""
}

// Here are the surroundings of this process.
func Here() Surroundings {
	return Surroundings{
		LookupEnv: os.LookupEnv, Args: os.Args, PID: os.Getpid(), Parent: os.Getppid(),
		Listens:  func(n int) bool { return fd.CheckListener(n) == nil },
		Ancestor: func() bool { return proc.ShowsPrograms && replaces() == nil },
		Replaces: replaces,
	}
}

// replaces reports why this process replaces no other version of its program.
func replaces() error {
	p, err := proc.OldVersion()
	if err == nil {
		err = p.Release()
	}
	return err
}

// TakeActivated is Take for a supervisor: only what a service manager has opened.
func TakeActivated() (*Start, error) {
	if s, _ := Read(Here()); s == nil || !s.Activated() {
		return nil, nil
	}
	return Take()
}

// Take is Read for this process. What was for it leaves its environment and arguments, the
// descriptors are set to close-on-exec, and each is looked at. The error names the variable.
func Take() (*Start, error) {
	s, err := Read(Here())
	if s == nil {
		return nil, err
	}
	for _, v := range s.Vars {
		name, _, _ := strings.Cut(v, "=")
		_ = os.Unsetenv(name)
	}
	if s.args != nil {
		os.Args = s.args
	}
	if err == nil && s.open != nil {
		err = s.open()
	}
	if err != nil {
		return s, err
	}
	for i := range s.Sockets {
		if err := s.Sockets[i].look(s.kinds); err != nil {
			return s, fmt.Errorf("%s: %w; the program that started this one (%s) has to pass a socket there, or to start it without "+
				"the variable if it is no new process of that program", s.sign(), err, s.Protocol)
		}
		if inode, ok := fd.Inode(s.Sockets[i].FD); ok {
			s.inodes = append(s.inodes, inode)
		}
	}
	s.hold()
	return s, nil
}

// keptBy has the system show that a process is the master: it keeps the sockets, and has set the variable for its
// workers.
func (s *Start) keptBy(pid int, variable string) func() error {
	return func() error { return proc.Keeps(pid, variable, s.inodes) }
}

// Activated reports whether a service manager has opened the sockets, and goes on having them.
func (s *Start) Activated() bool { return s.Protocol == systemd.name || s.Protocol == activator.name }

// sign is the variable with its value, or the flag.
func (s *Start) sign() string {
	for _, v := range s.Vars {
		if strings.HasPrefix(v, s.Sign+"=") {
			return v
		}
	}
	return s.Sign
}

// Managed reports whether another program decides when this process ends: it replaces that
// program, or is one of its workers.
func (s *Start) Managed() bool { return s != nil && (s.Parent != nil || s.Master != nil) }

// Supervisable reports whether a supervisor can take the place of this process. It takes nothing over but what a service
// manager has opened: other sockets would stay open in it, and keep the ports from its workers.
func (s *Start) Supervisable() bool { return s == nil || s.Activated() && !s.Managed() }

// Has reports whether descriptor n was passed.
func (s *Start) Has(n int) bool {
	return s != nil && slices.ContainsFunc(s.Sockets, func(x Socket) bool { return x.FD == n })
}

// look finds out what the descriptor is.
func (x *Socket) look(allowed []wire.Kind) error {
	if x.Kind == wire.KindFile {
		if err := fd.CheckOpen(x.FD); err != nil {
			return err
		}
		fd.CloseOnExec(x.FD)
		return nil
	}
	// A descriptor that is no socket may be the Go runtime's own.
	if err := fd.CheckSocket(x.FD); err != nil {
		return err
	}
	fd.CloseOnExec(x.FD)
	err := fd.CheckListener(x.FD)
	switch {
	case err == nil:
		x.Kind = wire.KindListener
	case fd.CheckPacket(x.FD) == nil:
		x.Kind = wire.KindPacket
	default:
		x.Kind = wire.KindConn
	}
	if allowed != nil && !slices.Contains(allowed, x.Kind) {
		return err
	}
	// Whoever passed it may have made it blocking, for an Accept of its own too (golang/go#29277).
	return fd.SetNonblock(x.FD)
}

const (
	first = fd.First
	// maxSockets is far above any program's number of sockets.
	maxSockets = 1 << 12
	// maxDescriptor is the highest number that a descriptor can have (NR_OPEN, Linux).
	maxDescriptor = 1 << 20
)

// listeners are what most protocols pass.
var listeners = []wire.Kind{wire.KindListener}

// exactly is an error if a variable is set to anything but v.
func exactly(in Surroundings, name, v string) error {
	if got := in.Getenv(name); got != v {
		return fmt.Errorf("%s=%q is not %s; %s", name, got, v, byHand)
	}
	return nil
}

// port is the port of an address, by number or by name.
func port(address string) (int, error) {
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	return net.LookupPort("tcp", p)
}

// number reads a variable that counts.
func number(in Surroundings, name string, from, to int) (int, error) {
	n, err := strconv.Atoi(in.Getenv(name))
	if err != nil || n < from || n > to {
		return 0, fmt.Errorf("%s=%q is no number from %d to %d; %s", name, in.Getenv(name), from, to, byHand)
	}
	return n, nil
}

// byHand ends an error about a variable.
const byHand = "it is set by the program that starts this one and not to be given by hand"

// fromFirst are n sockets from descriptor 3 up.
func fromFirst(n int) []Socket {
	sockets := make([]Socket, n)
	for i := range sockets {
		sockets[i].FD = fd.First + i
	}
	return sockets
}
