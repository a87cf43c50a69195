package core_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
)

func init() { programs["surrounded"] = playSurrounded }

// playSurrounded is a program that can give up root's rights when it listens. It writes to stderr while it is the new
// process, and at no other time: where nobody reads that, any Go program would end.
func playSurrounded() {
	const nobody = 65534
	addr, pidfile := flag.String("addr", "", ""), flag.String("pidfile", "", "")
	drop := flag.Bool("drop", false, "give up root's rights")
	flag.Parse()
	if core.Upgrading() {
		fmt.Fprintln(os.Stderr, "the new process starts")
	}
	check(core.Run(func(u *core.Upgrader) error {
		ln, err := u.Listen(context.Background(), "tcp", *addr)
		check(err)
		if *drop && os.Getuid() == 0 {
			check(syscall.Setgid(nobody))
			check(syscall.Setuid(nobody))
		}
		return u.Attach(&http.Server{Handler: appHandler(u)}, ln)
	}, core.WithControlSocket(""), core.WithProbation(0), core.WithPIDFile(*pidfile)))
}

// surrounding is how a program is started.
type surrounding struct {
	sh         string // the arguments of this script are the program's command line
	with       string // what it gets besides
	env        []string
	root       bool    // only root can do this
	namespaces uintptr // and only in namespaces like these
	works      string  // only if this script works
	closes     bool    // connections are closed politely instead of moved
	refused    string  // the program does not start, and writes this; empty: it does
}

const (
	ownMounts = "mount --make-rprivate / && "
	asNobody  = "setpriv --reuid 65534 --regid 65534 --clear-groups "
)

var surroundedBy = map[string]surrounding{
	"standard descriptors are closed": {sh: `exec "$@" <&- >&- 2>&-`},
	"nobody reads the output":         {sh: `"$@" 2>&1 | true`},
	"SIGCHLD is ignored":              {sh: `exec env --ignore-signal=CHLD "$@"`, works: "env --ignore-signal=CHLD true"},
	"a session of its own":            {sh: `exec setsid "$@"`, works: "setsid true"},
	// The kernel has room for 2 MiB, a quarter of the stack's usual limit, and for 128 KiB a variable (execve(2)).
	"the environment is full":                      {sh: `exec "$@"`, env: longVariables(14, 130_000)},
	"no new privileges":                            {sh: `exec setpriv --no-new-privs "$@"`, works: "setpriv --no-new-privs true"},
	"rights are given up":                          {sh: `exec "$@"`, with: "-drop", root: true},
	"rights are given up, the directory is root's": {sh: `exec "$@"`, with: "-drop -pidfile app.pid", root: true, refused: "app.pid: the directory "},
	"a tracer":               {sh: `exec strace -f -qq -o /dev/null "$@"`, works: "strace -f -o /dev/null true"},
	"no other file can grow": {sh: `ulimit -f 0; exec "$@"`},
	"no pid file can grow":   {sh: `ulimit -f 0; exec "$@"`, with: "-pidfile app.pid", refused: "file too large"},
	"4 GB of addresses":      {sh: `ulimit -v 4000000; exec "$@"`},
	// A process that does not see how many descriptors it has takes over no more.
	"no /proc": {sh: ownMounts + `mount -t tmpfs none /proc && exec "$@"`, namespaces: syscall.CLONE_NEWNS, closes: true},
	"no /dev":  {sh: ownMounts + `mount -t tmpfs none /dev && exec "$@"`, namespaces: syscall.CLONE_NEWNS},
	"/proc hides the parent": {sh: ownMounts + `mount -t proc -o hidepid=2 proc /proc && ` + asNobody + `"$@" | cat`,
		root: true, namespaces: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, works: asNobody + "true"},
}

// longVariables are n variables, each of that length.
func longVariables(n, length int) (env []string) {
	for i := range n {
		env = append(env, "APP_"+itoa(i)+"="+strings.Repeat("x", length))
	}
	return env
}

// TestSurroundings_NoneLosesARequest in an upgrade. Where a program can't start, it says so.
func TestSurroundings_NoneLosesARequest(t *testing.T) {
	t.Parallel()
	for name, tt := range surroundedBy {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.root && os.Geteuid() != 0 {
				t.Skip("only root can do this")
			}
			a := installed(t)
			if out, err := exec.Command("/bin/sh", "-c", tt.works).CombinedOutput(); err != nil {
				t.Skipf("%s: %v: %s", tt.works, err, out)
			}
			if tt.namespaces != 0 {
				inNamespaces(t, a, tt.namespaces)
			}
			must(t, os.Chmod(a.dir, 0o755))
			a.env = tt.env
			addr := proctest.FreeAddr(t)
			args := []string{"-c", tt.sh, "sh", "./app", "-addr", addr}
			a.start("surrounded", "/bin/sh", append(args, strings.Fields(tt.with)...)...)
			if tt.refused != "" {
				a.AwaitEnd()
				expectText(t, a.log(), tt.refused)
				return
			}
			crosses(t, a, addr, tt.closes)
			must(t, a.call(addr, "/stop"))
			awaitRefused(t, addr)
			a.AwaitEnd()
		})
	}
}

// crosses upgrades the program at addr while two clients post, and each of them posts to both generations.
func crosses(t *testing.T, a *app, addr string, closes bool) {
	t.Helper()
	proctest.Await(t, "the program serves", func() bool {
		_, err := get(addr, "/")
		return err == nil
	})
	const clients = 2
	type served struct {
		client     int
		generation string
	}
	var seen sync.Map
	run := load.Start(load.Config{Addr: addr, Clients: clients, Think: 2 * time.Millisecond, Observe: func(s load.Sample) {
		seen.Store(served{s.Client, s.Server.Generation}, true)
	}})
	await := func(generation string) {
		t.Helper()
		for client := range clients {
			proctest.Await(t, "the client has an answer of generation "+generation, func() bool {
				_, ok := seen.Load(served{client, generation})
				return ok
			})
		}
	}
	await("0")
	must(t, a.upgrade(addr))
	await("1")
	want := 0
	if closes {
		want = clients
	}
	if res := expectLossless(t, run); res.Reconnects != want {
		t.Errorf("the clients connect again %d times, want %d", res.Reconnects, want)
	}
}
