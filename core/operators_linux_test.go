package core_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
)

func init() {
	programs["operator"] = func() { emit(event{Event: "asked", Err: operate(os.Args[1], os.Args[2:]...)}) }
}

// operate does what an operator does, and returns what has become of it.
func operate(socket string, args ...string) string {
	ctx, c := context.Background(), control.Dial(socket)
	var err error
	var o control.Outcome
	start := control.UpgradeOptions{Start: control.StartOptions{CompareEnv: append(os.Environ(), "INVOCATION_ID=4711", "DB_PASSWORD=a guess")}}
	switch args[0] {
	case "status":
		_, err = control.Find(ctx, control.Query{Socket: socket})
	case "find":
		_, err = control.Find(ctx, control.Query{PIDFile: args[1]})
	case "ledger":
		_, err = c.Ledger(ctx)
	case "upgrade":
		start.Release = strings.Join(args[1:], "")
		o, err = c.Upgrade(ctx, start)
	case "env", "setenv", "args", "leave":
		start = map[string]control.UpgradeOptions{
			"env": {Start: control.StartOptions{Env: []string{}}}, "setenv": {Start: control.StartOptions{SetEnv: []string{"LD_PRELOAD=/x"}}},
			"args": {Start: control.StartOptions{Args: []string{}}}, "leave": {Leave: true},
		}[args[0]]
		o, err = c.Upgrade(ctx, start)
	case "rollback":
		err = c.Rollback(ctx, "enough")
	case "stop":
		err = c.Stop(ctx)
	}
	switch {
	case err != nil:
		return err.Error()
	case strings.Contains(strings.Join(o.Warnings, ""), "environment has changed"):
		return strings.Join(o.Warnings, " ")
	case o.Kind != "":
		return o.Kind
	}
	return "done"
}

// The users of these tests, none of whom need exist.
const (
	serviceUser = 47110 + iota
	operatorUser
	strangerUser
)

// operated starts an app of one user whose operator is another one. ask has a user do something.
func operated(t *testing.T, env ...string) (a *app, ask func(uid uint32, args ...string) string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can play other users")
	}
	a = released(t, "app", "1", "2")
	must(t, os.Chmod(a.dir, 0o755))
	must(t, os.Mkdir(a.path("home"), 0o755))
	must(t, os.Chown(a.path("home"), serviceUser, serviceUser))
	install(t, a.path("client"))
	a.env = slices.Concat(env, []string{core.EnvMode + "=self", "APP_CONTROL=" + a.path("home/run/ctl.sock")})
	a.attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: serviceUser, Gid: serviceUser}}
	return a, func(uid uint32, args ...string) string {
		t.Helper()
		b := &app{t: t, dir: a.dir, attr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}}
		b.start("operator", "./client", append([]string{a.path("home/run/ctl.sock")}, args...)...)
		return b.expect("asked", 0).Err
	}
}

// TestWithOperators_MayOperateAndNoMore: what an operator may do works, and what would be to run anything as the
// service's user does not. Another user can't even connect.
func TestWithOperators_MayOperateAndNoMore(t *testing.T) {
	t.Parallel()
	a, ask := operated(t, "APP_OPERATORS=47000 47111", "INVOCATION_ID=4711", "DB_PASSWORD=x") // systemctl show has the first one
	a.start("app", "/bin/sh", "-c", `umask 077; exec "$0" "$@"`, a.path("current/app"), "-pidfile", a.path("home/app.pid"))
	first := a.expect("ready", 0)
	awaitList(t, a)
	for _, what := range []string{"status", "ledger"} {
		if got := ask(operatorUser, what); got != "done" {
			t.Errorf("%s: %s", what, got)
		}
	}
	for _, what := range []string{"env", "setenv", "args"} {
		expectText(t, ask(operatorUser, what), control.ErrPermission.Error(), "user 47111 is an operator", "may not change the environment or the arguments")
	}
	expectText(t, ask(operatorUser, "leave"), control.ErrPermission.Error(), "may not make the app leave")
	for _, what := range []string{"status", "upgrade", "stop", "rollback"} {
		expectText(t, ask(strangerUser, what), control.ErrPermission.Error(), "belongs to 47110")
	}
	must(t, os.Chmod(a.path("home/run/ctl.sock"), 0o666)) // by somebody else
	expectText(t, ask(strangerUser, "stop"), control.ErrPermission.Error(), "takes no orders from user 47112", "core.WithOperators")
	expectServes(t, first.Addrs[0], first.PID)
	for i, args := range [][]string{{"upgrade", "2"}, {"upgrade"}} {
		if got := ask(operatorUser, args...); got != control.KindUpgraded {
			t.Errorf("%s: %s", args, got)
		}
		if ev := a.expect("ready", i+1); ev.Release != []string{"2", "1"}[i] {
			t.Errorf("%s: release %s", args, ev.Release)
		}
	}
	a.expectLog("an operator asks", 6) // those that were refused, too
	if got := ask(operatorUser, "stop"); got != "done" {
		t.Errorf("stop: %s", got)
	}
	a.expectGone()
}

// awaitList waits until the operators can connect, which is a moment after ready.
func awaitList(t *testing.T, a *app) {
	t.Helper()
	a.Await("a list", func() bool {
		_, err := syscall.Getxattr(a.path("home/run/ctl.sock"), "system.posix_acl_access", nil)
		if errors.Is(err, syscall.EOPNOTSUPP) {
			t.Skip("no access control lists here")
		}
		return err == nil
	})
}

// TestWithOperators_AreThoseOfTheProcessThatServes: a new version without some shuts them out, and they are back when it
// is rolled back.
func TestWithOperators_AreThoseOfTheProcessThatServes(t *testing.T) {
	t.Parallel()
	a, ask := operated(t, "APP_OPERATORS=47111", "APP_PROBATION=4m")
	a.cwd = a.dir
	a.start("app", a.path("current/app"))
	a.expect("ready", 0)
	awaitList(t, a)
	a.setMode("nooperators")
	root := control.Dial(a.path("home/run/ctl.sock"))
	done := startUpgrade(t, root, control.UpgradeOptions{})
	a.Await("no list", func() bool {
		_, err := syscall.Getxattr(root.Path(), "system.posix_acl_access", nil)
		return errors.Is(err, syscall.ENODATA)
	})
	fi, err := os.Stat(root.Path())
	must(t, err)
	if fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", fi.Mode())
	}
	expectText(t, ask(operatorUser, "rollback"), control.ErrPermission.Error())
	must(t, root.Rollback(t.Context(), "enough"))
	<-done
	awaitList(t, a)
	if got := ask(operatorUser, "status"); got != "done" {
		t.Errorf("after the rollback: %s", got)
	}
	a.setMode("")
	go ask(operatorUser, "upgrade")
	status(t, root, func(st control.Status) bool { return st.Generations[0].Probation })
	awaitList(t, a)
	if got := ask(operatorUser, "rollback"); got != "done" {
		t.Errorf("rollback: %s", got)
	}
}

// TestWithOperators_SaysWhatIsInTheWay.
func TestWithOperators_SaysWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	a, ask := operated(t, "APP_OPERATORS=47111")
	must(t, os.Mkdir(a.path("home/run"), 0o700))
	must(t, os.Chown(a.path("home/run"), serviceUser, serviceUser))
	a.start("app", a.path("current/app"))
	a.expect("ready", 0)
	a.expectLog("the operators may not be able to enter the directory; chmod o+x it", 1)
	expectText(t, ask(operatorUser, "status"), control.ErrPermission.Error(), a.path("home/run"))

	core.Alone(t)
	for _, uid := range []int{-1, 65534} {
		_, err := core.New(core.WithOperators(4711, uid))
		expectError(t, err, "WithOperators: ", itoa(uid)+" is not the number of one user")
	}
}
