//go:build unix

package core_test

import (
	"os"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core"
)

// TestInherit_BadInputOfAnotherProgramIsNamed: what a service manager or another program passes and is not what its
// variables say is an error that names the variable, and the process ends.
func TestInherit_BadInputOfAnotherProgramIsNamed(t *testing.T) {
	t.Parallel()
	open := func(f *os.File, err error) *os.File {
		must(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	listening, addr := opened(t, "tcp", "127.0.0.1:0")
	datagrams, _ := openedPacket(t)
	plain, none := open(os.CreateTemp(t.TempDir(), "")), open(os.Open(os.DevNull))
	r, w, err := os.Pipe()
	names := open(r, err)
	_, err = w.WriteString("no names at all")
	must(t, err)
	must(t, w.Close())

	const (
		manager   = "LISTEN_PID=$$ "
		endless   = "ENDLESS_CONTINUE=1"
		grace     = "GRACEFUL_WORKER=1"
		overseer  = "OVERSEER_IS_SLAVE=1"
		starter   = "SERVER_STARTER_PORT=127.0.0.1:80=3"
		tableflip = "TABLEFLIP_HAS_PARENT_7DIU3=yes"
	)
	type files = []*os.File
	for name, c := range map[string]struct {
		env   string
		files files
		want  string // parts, with | between them
	}{
		"endless, closed": {endless, nil, endless + ": descriptor 3|endless"},
		"endless, a file": {endless, files{plain}, endless + ": descriptor 3 is a file"},
		"endless, datagrams": {endless, files{datagrams},
			endless + ": descriptor 3 is a socket, but not a stream socket"},
		"endless, one too few": {endless + " ENDLESS_SOCKET_ORDER=" + addr + ",:1", files{listening},
			"ENDLESS_SOCKET_ORDER=|descriptor 4"},
		"endless, another address": {endless + " ENDLESS_SOCKET_ORDER=127.0.0.1:1", files{listening},
			"ENDLESS_SOCKET_ORDER: descriptor 3 is said to be 127.0.0.1:1, and is bound to " + addr},
		"systemd, empty":    {manager + "LISTEN_FDS=", nil, `LISTEN_FDS=""`},
		"systemd, negative": {manager + "LISTEN_FDS=-1", nil, `LISTEN_FDS="-1"`},
		"systemd, huge":     {manager + "LISTEN_FDS=99999999999999999999", nil, `LISTEN_FDS="99999999999999999999"`},
		"systemd, a word":   {manager + "LISTEN_FDS=two", nil, `LISTEN_FDS="two"`},
		"systemd, too many": {manager + "LISTEN_FDS=900", files{none}, `LISTEN_FDS=900: descriptor`},
		"systemd, names":    {manager + "LISTEN_FDS=1 LISTEN_FDNAMES=a:b", files{none}, `LISTEN_FDNAMES="a:b"`},
		"systemd, a file":   {manager + "LISTEN_FDS=1", files{plain}, "LISTEN_FDS=1: descriptor 3 is a file"},
		"grace, closed":     {"LISTEN_FDS=1", nil, "LISTEN_FDS=1: descriptor 3|grace"},
		"grace, garbage":    {"LISTEN_FDS=-1", nil, `LISTEN_FDS="-1"`},
		"graceful, closed":  {grace + " GRACEFUL_NUMFD=1", nil, grace + ": descriptor 3|graceful"},
		"graceful, garbage": {grace + " GRACEFUL_NUMFD=", nil, `GRACEFUL_NUMFD=""`},
		"overseer, a file": {overseer + " OVERSEER_NUM_FDS=1", files{plain},
			"OVERSEER_NUM_FDS=1: descriptor 3 is a file"},
		"starter, closed":  {starter, nil, starter + ": descriptor 3|Server::Starter"},
		"starter, garbage": {"SERVER_STARTER_PORT=80", nil, "SERVER_STARTER_PORT|" + `"80" is not`},
		"einhorn, a file": {"EINHORN_FD_COUNT=1 EINHORN_FD_0=3", files{plain},
			"EINHORN_FD_COUNT=1: descriptor 3 is a file"},
		"einhorn, command socket": {"EINHORN_FD_COUNT=1 EINHORN_FD_0=3 EINHORN_SOCK_FD=4", files{listening, plain},
			"EINHORN_SOCK_FD=4: descriptor 4 is a file"},
		"tableflip, closed": {tableflip, nil, tableflip + ": descriptor 3"},
		"tableflip, a listener": {tableflip, files{listening, listening},
			tableflip + ": descriptor 3 is a socket, not a pipe"},
		"tableflip, garbage": {tableflip, files{names, names}, tableflip + ": the names on descriptor 4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := installed(t)
			activate(a, c.env, c.files, "-addr", addr)
			expectText(t, a.expect("end", 0).Err, strings.Split(c.want, "|")...)
			if !strings.HasPrefix(c.env, manager) {
				expectText(t, a.expect("end", 0).Err, "nothing was handed over")
			}
		})
	}
}

// TestSupervise_LeavesSocketsOfAnotherProgram: a process that has got its sockets by another protocol, from a parent that
// is no old version, is no supervisor, which would keep the port from its worker.
func TestSupervise_LeavesSocketsOfAnotherProgram(t *testing.T) {
	t.Parallel()
	listening, addr := opened(t, "tcp", "127.0.0.1:0")
	a := installed(t)
	activate(a, core.EnvMode+"=supervised ENDLESS_CONTINUE=1", []*os.File{listening}, "-addr", addr)
	if r := a.expect("ready", 0); len(r.Addrs) != 1 || r.Addrs[0] != addr {
		t.Errorf("it serves on %v, not on %s", r.Addrs, addr)
	}
}
