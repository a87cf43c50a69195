package spawn

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gracex-go/gracex/core/internal/wire"
)

// SetEnv returns env with the assignments set in it. env stays as it is. The last assignment of a name counts.
func SetEnv(env, set []string) []string {
	env = slices.Clone(env)
	for _, s := range set {
		name, _, _ := strings.Cut(s, "=")
		i := slices.IndexFunc(env, func(e string) bool { return nameOf(e) == name })
		if i < 0 {
			env = append(env, s)
			continue
		}
		env[i] = s
		rest := slices.DeleteFunc(env[i+1:], func(e string) bool { return nameOf(e) == name })
		env = env[:i+1+len(rest)]
	}
	return env
}

func nameOf(assignment string) string {
	name, _, _ := strings.Cut(assignment, "=")
	return name
}

// private are the variables by which gracex starts a process, and no other program has to set.
var private = []string{wire.EnvHandover, wire.EnvLink, wire.EnvDoorbell, wire.EnvSupervise}

// ofOneProcess are variables that say something of one process, not of the service: what a service manager tells
// the process that it starts (systemd.exec(5), sd_notify(3), sd_listen_fds(3)), what a shell keeps for itself, and
// the user, which an upgrade does not change. A process that runs beside the service, such as ExecReload=, has
// others, or none.
var ofOneProcess = []string{
	"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES",
	"FDSTORE", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MAINPID", "MAINPIDFDID", "MANAGERPID",
	"MANAGERPIDFDID", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "CREDENTIALS_DIRECTORY", "EXIT_CODE",
	"EXIT_STATUS", "SERVICE_RESULT", "TRIGGER_PATH", "TRIGGER_UNIT", "TRIGGER_TIMER_REALTIME_USEC",
	"TRIGGER_TIMER_MONOTONIC_USEC", "REMOTE_ADDR", "REMOTE_PORT", "HOME", "LOGNAME", "USER", "SHELL", "TERM", "_",
	"PWD", "OLDPWD", "SHLVL",
}

// OfOneProcess reports whether a variable says something of one process, and nothing of the service.
func OfOneProcess(name string) bool {
	return slices.Contains(ofOneProcess, name) || slices.Contains(private, name) ||
		strings.HasPrefix(name, "MONITOR_") || strings.HasPrefix(name, "SUDO_")
}

// Renew returns the environment given in place of old. What is said of one process is old's.
func Renew(old, given []string) []string {
	env := slices.DeleteFunc(SetEnv(nil, given), func(s string) bool { return OfOneProcess(nameOf(s)) })
	for _, s := range old {
		if OfOneProcess(nameOf(s)) {
			env = append(env, s)
		}
	}
	return env
}

// Public returns env without the variables that are gracex's own.
func Public(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(s string) bool { return slices.Contains(private, nameOf(s)) })
}

// CheckEnv returns an error that names what is no assignment.
func CheckEnv(env []string) error {
	for _, s := range env {
		name, _, ok := strings.Cut(s, "=")
		switch {
		case !ok || name == "":
			return fmt.Errorf("%q is not NAME=value", s)
		case strings.ContainsRune(s, 0):
			return fmt.Errorf("the variable %q has a zero byte in it", name)
		}
	}
	return nil
}

// CheckArgs returns an error for arguments that no process can have.
func CheckArgs(args []string) error {
	if slices.ContainsFunc(args, func(s string) bool { return strings.ContainsRune(s, 0) }) {
		return errors.New("an argument has a zero byte in it")
	}
	return nil
}

// Changed are the names of the variables that now has, and that have another value or none in then, in their
// order. A variable that then alone has does not count: a script between a service manager and the program may
// have set it.
func Changed(then, now []string) (names []string) {
	values := make(map[string]string, len(then))
	for _, s := range then {
		if name, v, ok := strings.Cut(s, "="); ok {
			values[name] = v
		}
	}
	for _, s := range now {
		name, v, ok := strings.Cut(s, "=")
		if !ok || OfOneProcess(name) {
			continue
		}
		if was, there := values[name]; !there || was != v {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
