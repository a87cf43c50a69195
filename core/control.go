package core

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// EnvControl is the environment variable that tells a new process where its end of the handover
// socket is. The value is "<protocol version>:<descriptor>:<process number of the old process>".
// Further values follow as ":<key>=<number>". The listeners are the descriptors from 3 up to the
// handover socket.
//
// The variable is removed before main runs, so that no process which this one starts sees it. A
// program that does not know the variable passes it on together with the descriptors.
const EnvControl = "GRACEX_CONTROL"

// controlInfo is what EnvControl says.
type controlInfo struct {
	version, s, pid int

	// Descriptors that come after the control socket; 0 for none.
	stderr int    // what descriptor 2 is to become again
	pipe   int    // the read end of the pipe that descriptor 2 is meanwhile
	pipeID uint64 // the inode number of the pipe's write end

	link       int // this process's end of the link to the supervisor
	supervisor int // the supervisor's process number, given with link

	umask int // -1 for none
}

func (c controlInfo) String() string {
	s := fmt.Sprintf("%d:%d:%d", c.version, c.s, c.pid)
	if c.stderr != 0 {
		s += fmt.Sprintf(":stderr=%d:pipe=%d:id=%d", c.stderr, c.pipe, c.pipeID)
	}
	if c.link != 0 {
		s += fmt.Sprintf(":link=%d:supervisor=%d", c.link, c.supervisor)
	}
	if c.umask >= 0 {
		s += fmt.Sprintf(":umask=%d", c.umask)
	}
	return s
}

const (
	// maxControl is far above any real number of listeners, and keeps the loop
	// over them short.
	maxControl = 1 << 16
	// maxUmask is all the bits that a umask has.
	maxUmask = 0o777
)

// parseControl reads the value of EnvControl.
func parseControl(v string) (controlInfo, error) {
	bad := fmt.Errorf("%s=%q is not <version>:<descriptor>:<pid>, with :<key>=<number> after it", EnvControl, v)
	c := controlInfo{umask: -1}
	parts := strings.Split(v, ":")
	fixed := []*int{&c.version, &c.s, &c.pid}
	if len(parts) < len(fixed) {
		return controlInfo{}, bad
	}
	for i, p := range fixed {
		var err error
		if *p, err = strconv.Atoi(parts[i]); err != nil || *p <= 0 {
			return controlInfo{}, bad
		}
	}
	if c.s < fd.First || c.s > maxControl {
		return controlInfo{}, bad
	}
	for _, field := range parts[len(fixed):] {
		key, value, ok := strings.Cut(field, "=")
		if !ok || !c.set(key, value) {
			return controlInfo{}, bad
		}
	}
	if (c.stderr == 0) != (c.pipe == 0) || c.stderr != 0 && c.stderr == c.pipe {
		return controlInfo{}, bad
	}
	if (c.link == 0) != (c.supervisor == 0) || c.link != 0 && (c.link == c.stderr || c.link == c.pipe) {
		return controlInfo{}, bad
	}
	return c, nil
}

// set takes an optional field, and reports whether its value is one. A key that a
// later version has is ignored.
func (c *controlInfo) set(key, value string) bool {
	n, err := strconv.ParseUint(value, 10, 64)
	switch key {
	case "stderr", "pipe", "link":
		if err != nil || n <= uint64(c.s) || n > maxControl+3 {
			return false
		}
		*map[string]*int{"stderr": &c.stderr, "pipe": &c.pipe, "link": &c.link}[key] = int(n)
	case "supervisor":
		c.supervisor = int(min(n, math.MaxInt32))
		return err == nil && n > 0
	case "id":
		c.pipeID = n
		return err == nil
	case "umask":
		c.umask = int(min(n, maxUmask+1))
		return err == nil && n <= maxUmask
	}
	return true
}
