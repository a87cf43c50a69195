// Package sdnotify tells the service manager what becomes of this process: the protocol of
// sd_notify(3), datagrams of assignments on the unix socket that NOTIFY_SOCKET names.
package sdnotify

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/text"
)

// EnvSocket is the environment variable that names the socket.
const EnvSocket = "NOTIFY_SOCKET"

// The variables of the watchdog: the time in microseconds, and the process that is to answer.
const (
	envWatchdog    = "WATCHDOG_USEC"
	envWatchdogPID = "WATCHDOG_PID"
)

// Vars are the variables by which the service manager makes this process the one that speaks for the service.
func Vars() []string { return []string{EnvSocket, envWatchdog, envWatchdogPID} }

// taken are those that Take has taken.
var taken = make(map[string]string)

// Take takes the variables out of the environment, so that no program which this one starts speaks for the service.
// Getenv has the values. It is called before main.
func Take() {
	for _, name := range Vars() {
		if v, ok := os.LookupEnv(name); ok {
			taken[name] = v
			_ = os.Unsetenv(name)
		}
	}
}

// Getenv is os.Getenv, also for what Take has taken.
func Getenv(name string) string {
	if v, ok := taken[name]; ok {
		return v
	}
	return os.Getenv(name)
}

// Socket is where the service manager listens. A nil one has nobody to tell.
type Socket struct{ addr *net.UnixAddr }

// Open returns the socket that the environment names: nil and no error without one. The
// datagrams are sent from a socket of their own, so that nothing is held open between them.
func Open(getenv func(string) string) (*Socket, error) {
	name := getenv(EnvSocket)
	switch {
	case name == "":
		return nil, nil
	case name[0] != '/' && name[0] != '@':
		return nil, fmt.Errorf("%s=%q is neither a path nor the name of an abstract socket", EnvSocket, name)
	}
	return At(name), nil
}

// At is the socket of that name.
func At(name string) *Socket { return &Socket{&net.UnixAddr{Name: name, Net: "unixgram"}} }

// Assignment is the environment variable by which another process finds the socket.
func (s *Socket) Assignment() string { return EnvSocket + "=" + s.addr.Name }

// sendWait bounds a datagram: the service manager may not read for a while, and a process
// that serves does not wait for it.
const sendWait = time.Second

// MoreFamilies is the remedy for a unit that forbids unix sockets.
const MoreFamilies = "add AF_UNIX to RestrictAddressFamilies= of the systemd unit"

// Send sends the assignments as one datagram.
func (s *Socket) Send(assignments ...string) error {
	if s == nil || len(assignments) == 0 {
		return nil
	}
	c, err := net.DialUnix(s.addr.Net, nil, s.addr)
	if errors.Is(err, syscall.EAFNOSUPPORT) {
		return fmt.Errorf("%s=%s: %w; %s", EnvSocket, s.addr.Name, err, MoreFamilies)
	}
	if err != nil {
		return fmt.Errorf("%s=%s: %w", EnvSocket, s.addr.Name, err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetWriteDeadline(time.Now().Add(sendWait))
	if _, err = c.Write([]byte(strings.Join(assignments, "\n"))); err != nil {
		return fmt.Errorf("%s=%s: %w", EnvSocket, s.addr.Name, err)
	}
	return nil
}

// The assignments that have no value of their own. Each is described in sd_notify(3).
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	Watchdog = "WATCHDOG=1"
)

// MainPID makes pid the service's main process.
func MainPID(pid int) string { return "MAINPID=" + strconv.Itoa(pid) }

// maxStatus bounds the text of a status, in bytes.
const maxStatus = 1 << 10

// Status is one line for whoever asks how the service is. Whatever the text is, it is no other assignment.
func Status(s string) string {
	return "STATUS=" + text.Printable(text.Cut(strings.Join(strings.Fields(s), " "), maxStatus))
}

// ExtendTimeout says that what is being done takes d more, counted from now, at least.
func ExtendTimeout(d time.Duration) string {
	return "EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10)
}

// Reloading begins a reload, which Ready ends. Both belong into one datagram: with
// Type=notify-reload a RELOADING=1 without the time is not counted, and the reload hangs.
func Reloading() []string {
	const reloading = "RELOADING=1"
	now, ok := monotonic()
	if !ok {
		return []string{reloading}
	}
	return []string{reloading, "MONOTONIC_USEC=" + strconv.FormatInt(now.Microseconds(), 10)}
}

// WatchdogInterval is how long the service manager waits for a Watchdog before it takes the
// service for dead: WATCHDOG_USEC. It is 0 without one. inherited says that the process
// number in WATCHDOG_PID may be that of a generation before this one.
func WatchdogInterval(getenv func(string) string, inherited bool) (time.Duration, error) {
	usec, pid := getenv(envWatchdog), getenv(envWatchdogPID)
	if usec == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) && !inherited {
		return 0, nil
	}
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || n > int64(time.Duration(1<<62)/time.Microsecond) {
		return 0, fmt.Errorf("%s=%q is no number of microseconds", envWatchdog, usec)
	}
	return time.Duration(n) * time.Microsecond, nil
}
