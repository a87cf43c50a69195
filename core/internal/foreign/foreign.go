package foreign

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gracex-go/gracex/core/internal/fd"
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

	args  []string     // the arguments without the flag; nil if there was none
	open  func() error // reads what is not in the environment; nil for nothing
	kinds []wire.Kind  // that the sockets may be; nil for any
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
	Obeys bool         // SIGTERM tells it that this process serves; else it goes by itself
	Tell  func() error // tells it in another way; nil for none
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

// Surroundings are what a process can see of how it was started.
type Surroundings struct {
	LookupEnv func(string) (string, bool)
	Args      []string
	PID       int
	Parent    int
	Listens   func(descriptor int) bool
	Ancestor  func() bool // the parent runs the program at the path of this one
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

// protocols are tried in this order: systemd's comes before grace's, which has the same variable, and the
// flags come last, because descriptor 3 may be somebody else's listener and the word the program's own.
var protocols = []protocol{endless, gracehttp, graceful, tableflip, overseer, starter, einhorn, systemd, grace, gracefulFlag, upgradeFlag}

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
		return s, p.read(in, s)
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

// Here are the surroundings of this process.
func Here() Surroundings {
	return Surroundings{
		LookupEnv: os.LookupEnv, Args: os.Args, PID: os.Getpid(), Parent: os.Getppid(),
		Listens:  func(n int) bool { return fd.CheckListener(n) == nil },
		Ancestor: isAncestor,
	}
}

// TakeActivated is Take for a supervisor: only what a service manager has opened.
func TakeActivated() (*Start, error) {
	if !systemd.shown(Here()) {
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
	}
	return s, nil
}

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
