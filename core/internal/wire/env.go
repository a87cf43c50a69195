package wire

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	// firstDescriptor is the first one after stdin, stdout and stderr.
	firstDescriptor = 3
	// maxDescriptor is far above any real number of listeners, and keeps the loop over them short.
	maxDescriptor = 1 << 16
)

// EnvSupervise is the environment variable that marks a process which is to be the supervisor of its program:
// "<process number>:<what it knows>". It is removed before that supervises.
const EnvSupervise = "GRACEX_SUPERVISE"

// EnvMode is the environment variable that is core.EnvMode. It is here for programs that must not be one on core.
const EnvMode = "GRACEX_MODE"

// EnvLink is the environment variable by which a supervisor tells a worker that it starts where their link
// is: "<protocol version>:<descriptor>:<process number of the supervisor>". The listeners that it has kept
// are the descriptors from 3 up to the link. It is removed before the worker's main runs.
const EnvLink = "GRACEX_LINK"

// EnvDoorbell is the environment variable by which a program on gracex is told, that an upgrade or a supervisor
// starts, where its doorbell is: "<protocol version>:<descriptor>:<process number of the one that starts it>". That
// is the only descriptor which it inherits. It is removed before main runs. A process that an earlier package has
// started has it too, and is not the one that Pass is for.
const EnvDoorbell = "GRACEX_DOORBELL"

// LinkInfo is what EnvLink says, and EnvDoorbell.
type LinkInfo struct{ Version, Descriptor, PID int }

// String is the form of EnvLink's value.
func (l LinkInfo) String() string {
	return fmt.Sprintf("%d:%d:%d", l.Version, l.Descriptor, l.PID)
}

// ParseLink reads the value of EnvLink.
func ParseLink(v string) (LinkInfo, error) { return parseInfo(EnvLink, v, "a supervisor") }

// ParseDoorbell reads the value of EnvDoorbell.
func ParseDoorbell(v string) (LinkInfo, error) {
	return parseInfo(EnvDoorbell, v, "an old process or a supervisor")
}

func parseInfo(name, v, by string) (LinkInfo, error) {
	var l LinkInfo
	fields := []*int{&l.Version, &l.Descriptor, &l.PID}
	parts := strings.Split(v, ":")
	ok := len(parts) == len(fields)
	for i := 0; ok && i < len(fields); i++ {
		var err error
		*fields[i], err = strconv.Atoi(parts[i])
		ok = err == nil && *fields[i] > 0
	}
	if !ok || l.Descriptor < firstDescriptor || l.Descriptor > maxDescriptor {
		return LinkInfo{}, fmt.Errorf("%s=%q is not <version>:<descriptor>:<pid>; it is set by %s and not to be given by hand", name, v, by)
	}
	return l, nil
}

// EnvHandover is the environment variable by which an old process tells a new one where
// their handover socket is: "<protocol version>:<descriptor>:<process number of the old
// process>", and after it what else the new one was given, each as ":<key>=<number>".
const EnvHandover = "GRACEX_HANDOVER"

// HandoverInfo is what EnvHandover says.
type HandoverInfo struct {
	Version, Descriptor, PID int

	// Descriptors that come after the handover socket; 0 for none.
	Stderr int    // what descriptor 2 is to become again
	Pipe   int    // the read end of the pipe that descriptor 2 is meanwhile
	PipeID uint64 // the inode number of the pipe's write end

	Link       int // this process's end of the link to the supervisor
	Supervisor int // the supervisor's process number, given with Link

	Umask int // -1 for none

	Flagless bool // the new process was started without -graceful
}

// Flagless is what the value of EnvHandover ends with if Flagless is set.
const Flagless = ":flagless=1"

// String is the form of EnvHandover's value.
func (c HandoverInfo) String() string {
	s := fmt.Sprintf("%d:%d:%d", c.Version, c.Descriptor, c.PID)
	if c.Stderr != 0 {
		s += fmt.Sprintf(":stderr=%d:pipe=%d:id=%d", c.Stderr, c.Pipe, c.PipeID)
	}
	if c.Link != 0 {
		s += fmt.Sprintf(":link=%d:supervisor=%d", c.Link, c.Supervisor)
	}
	if c.Umask >= 0 {
		s += fmt.Sprintf(":umask=%d", c.Umask)
	}
	if c.Flagless {
		s += Flagless
	}
	return s
}

// Map returns c with the descriptors that at makes of its own: those that have come by a doorbell have other numbers.
func (c HandoverInfo) Map(at func(n int) int) HandoverInfo {
	for _, s := range []*int{&c.Descriptor, &c.Stderr, &c.Pipe, &c.Link} {
		if *s != 0 {
			*s = at(*s)
		}
	}
	return c
}

// Last is the highest descriptor that c names.
func (c HandoverInfo) Last() int { return max(c.Descriptor, c.Stderr, c.Pipe, c.Link) }

// maxUmask is all the bits that a umask has.
const maxUmask = 0o777

// ParseHandover reads the value of EnvHandover.
func ParseHandover(v string) (HandoverInfo, error) {
	bad := fmt.Errorf("%s=%q is not <version>:<descriptor>:<pid>, with :<key>=<number> after it", EnvHandover, v)
	c := HandoverInfo{Umask: -1}
	parts := strings.Split(v, ":")
	fixed := []*int{&c.Version, &c.Descriptor, &c.PID}
	if len(parts) < len(fixed) {
		return HandoverInfo{}, bad
	}
	for i, p := range fixed {
		var err error
		if *p, err = strconv.Atoi(parts[i]); err != nil || *p <= 0 {
			return HandoverInfo{}, bad
		}
	}
	if c.Descriptor < firstDescriptor || c.Descriptor > maxDescriptor {
		return HandoverInfo{}, bad
	}
	for _, field := range parts[len(fixed):] {
		key, value, ok := strings.Cut(field, "=")
		if !ok || !c.set(key, value) {
			return HandoverInfo{}, bad
		}
	}
	if (c.Stderr == 0) != (c.Pipe == 0) || c.Stderr != 0 && c.Stderr == c.Pipe {
		return HandoverInfo{}, bad
	}
	if (c.Link == 0) != (c.Supervisor == 0) || c.Link != 0 && (c.Link == c.Stderr || c.Link == c.Pipe) {
		return HandoverInfo{}, bad
	}
	return c, nil
}

// set takes an optional field, and reports whether its value is one. A key that a
// later version has is ignored.
func (c *HandoverInfo) set(key, value string) bool {
	n, err := strconv.ParseUint(value, 10, 64)
	switch key {
	case "stderr", "pipe", "link":
		if err != nil || n <= uint64(c.Descriptor) || n > maxDescriptor+3 {
			return false
		}
		*map[string]*int{"stderr": &c.Stderr, "pipe": &c.Pipe, "link": &c.Link}[key] = int(n)
	case "supervisor":
		c.Supervisor = int(min(n, math.MaxInt32))
		return err == nil && n > 0
	case "id":
		c.PipeID = n
		return err == nil
	case "flagless":
		c.Flagless = n == 1
		return err == nil && n <= 1
	case "umask":
		c.Umask = int(min(n, maxUmask+1))
		return err == nil && n <= maxUmask
	}
	return true
}
