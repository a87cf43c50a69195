package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// serverPackage is the kit's own server.
const serverPackage = "github.com/gracex-go/gracex/core/faultkit/server"

// useOwnServer builds the kit's own server and makes it the program.
func (o *options) useOwnServer(ctx context.Context) (remove func(), err error) {
	dir, err := os.MkdirTemp("", "faultkit")
	if err != nil {
		return nil, err
	}
	path, err := buildServer(ctx, dir, o.race)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	o.own = true
	o.url, o.pidFile = "http://127.0.0.1:"+portWord+"/", dirWord+"/"+runDir+"/app.pid"
	o.program = []string{path, "-addr", "127.0.0.1:" + portWord, "-pidfile", o.pidFile}
	return func() { _ = os.RemoveAll(dir) }, nil
}

// buildServer builds the kit's own server into dir. In a module that has gracex among
// its requirements, or is it, "go build" knows the package. Anywhere else, after a
// "go run" of the kit at a version, it is installed at that version.
func buildServer(ctx context.Context, dir string, race bool) (path string, err error) {
	var flags []string
	if race {
		flags = append(flags, "-race")
	}
	path = filepath.Join(dir, "server")
	err = goCommand(ctx, nil, append(append([]string{"build", "-o", path}, flags...), serverPackage)...)
	if err == nil {
		return path, nil
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "", fmt.Errorf("%w; run the kit in a clone of its repository, or give it a program", err)
	}
	install := append(append([]string{"install"}, flags...), serverPackage+"@"+info.Main.Version)
	return path, goCommand(ctx, []string{"GOBIN=" + dir}, install...)
}

func goCommand(ctx context.Context, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(cmd.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the kit's own server: go %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}
