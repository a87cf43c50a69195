package wire

import (
	"fmt"
	"strconv"
	"strings"
)

// EnvLink is the environment variable by which a supervisor tells a worker that it starts
// where their link is: "<protocol version>:<descriptor>:<process number of the supervisor>".
// The listeners that it has kept are the descriptors from 3 up to the link. It is removed
// before the worker's main runs.
const EnvLink = "GRACEX_LINK"

// LinkInfo is what EnvLink says.
type LinkInfo struct{ Version, Descriptor, PID int }

// String is the form of EnvLink's value.
func (l LinkInfo) String() string {
	return fmt.Sprintf("%d:%d:%d", l.Version, l.Descriptor, l.PID)
}

// ParseLink reads the value of EnvLink.
func ParseLink(v string) (LinkInfo, error) {
	var l LinkInfo
	fields := []*int{&l.Version, &l.Descriptor, &l.PID}
	parts := strings.Split(v, ":")
	ok := len(parts) == len(fields)
	for i := 0; ok && i < len(fields); i++ {
		var err error
		*fields[i], err = strconv.Atoi(parts[i])
		ok = err == nil && *fields[i] > 0
	}
	if !ok || l.Descriptor < 3 || l.Descriptor > 1<<16 {
		return LinkInfo{}, fmt.Errorf("%s=%q is not <version>:<descriptor>:<pid>; it is set by a supervisor and not to be given by hand", EnvLink, v)
	}
	return l, nil
}
