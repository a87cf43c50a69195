package core

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core/internal/foreign"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
)

// systemctlWait bounds a question to systemd.
const systemctlWait = 10 * time.Second

// takeService finds out whether the main process of a systemd service is the master, or a script that
// waits for it: the service would end with it. If so, every process of the service must be allowed to
// say which one is the main one. The socket that is returned is where, if the processes do not know
// it. getenv looks at the environment of the first start.
func takeService(ctx context.Context, m *foreign.Master, getenv func(string) string) (*sdnotify.Socket, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(m.PID) + "/cgroup")
	if err != nil {
		return nil, nil // no /proc: no systemd
	}
	unit, ofUser := serviceUnit(string(b))
	if unit == "" {
		return nil, nil
	}
	args := []string{"show", "--property=MainPID,NotifyAccess", "--", unit}
	at := "/run"
	if ofUser {
		args, at = append([]string{"--user"}, args...), getenv("XDG_RUNTIME_DIR")
	}
	ctx, cancel := context.WithTimeout(ctx, systemctlWait)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", args...).Output()
	if err != nil {
		return nil, errServiceEnds(m, unit, fmt.Sprintf("whether it lets another process follow can't be found out by systemctl %s: %v", strings.Join(args, " "), err))
	}
	script, _ := proc.Parent(m.PID)
	switch said := strings.Fields(string(out)); {
	case !slices.Contains(said, "MainPID="+strconv.Itoa(m.PID)) && !slices.Contains(said, "MainPID="+strconv.Itoa(script)):
		return nil, nil
	case !slices.Contains(said, "NotifyAccess=all"):
		return nil, errServiceEnds(m, unit, "give it NotifyAccess=all and the ExecStart= of the program alone, and systemctl daemon-reload")
	case getenv(sdnotify.EnvSocket) != "":
		return nil, nil
	}
	// Where the manager listens, by its source (manager_setup_notify).
	return sdnotify.At(filepath.Join(at, "systemd", "notify")), nil
}

// serviceUnit is the systemd service of a process, by its cgroups (cgroups(7), proc_pid_cgroup(5)); "" if it is in none.
func serviceUnit(cgroups string) (unit string, ofUser bool) {
	for line := range strings.Lines(cgroups) {
		// hierarchy:controllers:path; systemd's own hierarchy is 0, or in version 1 has its name.
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 || f[0] != "0" && f[1] != "name=systemd" {
			continue
		}
		for p := f[2]; len(p) > 1; p = path.Dir(p) {
			switch name := path.Base(p); {
			case !strings.HasSuffix(name, ".service"):
			case unit == "":
				unit = name
			case strings.HasPrefix(name, "user@"):
				ofUser = true
			}
		}
		if unit != "" {
			return unit, ofUser
		}
	}
	return "", false
}
