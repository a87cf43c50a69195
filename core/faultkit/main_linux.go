package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

func main() {
	playRole()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second one ends this process at once, and so its children
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2) // it has been said
	default:
		fmt.Fprintln(os.Stderr, "faultkit:", err)
		os.Exit(1)
	}
}

// playRole does not return if this process is not the kit.
func playRole() {
	if plan, ok := os.LookupEnv(envLaunch); ok {
		fmt.Fprintln(os.Stderr, "faultkit: launcher:", launch(plan))
		os.Exit(1)
	}
	if dir, ok := os.LookupEnv(envShim); ok {
		os.Exit(playShim(dir))
	}
}

// run is the kit's main.
func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	if err := procgroup.AdoptOrphans(); err != nil {
		return err
	}
	if len(o.program) == 0 {
		dir, err := os.MkdirTemp("", "faultkit")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if err := o.useOwnServer(ctx, dir); err != nil {
			return err
		}
	}
	if o.soakFor > 0 {
		return o.runSoak(ctx, out)
	}
	m, err := o.tryAll(ctx, errOut)
	if err != nil {
		return err
	}
	m.print(out)
	return m.err()
}

// serverPackage is the kit's own server.
const serverPackage = "github.com/gracex-go/gracex/core/faultkit/server"

// useOwnServer builds the kit's own server into dir and makes it the program. In a module that has gracex among
// its requirements, or is it, "go build" knows the package. Anywhere else, after a "go run" of the kit at a version,
// it is installed at that version.
func (o *options) useOwnServer(ctx context.Context, dir string) error {
	o.own = true
	o.url, o.pidFile = "http://127.0.0.1:"+portWord+"/", dirWord+"/"+runDir+"/app.pid"
	o.program = []string{filepath.Join(dir, "server"), "-addr", "127.0.0.1:" + portWord, "-pidfile", o.pidFile}
	err := o.goCommand(ctx, dir, serverPackage, "build", "-o", o.program[0])
	if err == nil {
		return nil
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return fmt.Errorf("%w; run the kit in a clone of its repository, or give it a program", err)
	}
	return o.goCommand(ctx, dir, serverPackage+"@"+info.Main.Version, "install")
}

func (o *options) goCommand(ctx context.Context, dir, pkg string, args ...string) error {
	if o.race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Env = append(cmd.Environ(), "GOBIN="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the kit's own server: %v: %w: %s", cmd, err, bytes.TrimSpace(out))
	}
	return nil
}
