// Command publishedview checks the modules of the workspace the way their
// users get them. Neither go.work nor a replace directive reaches a user, so a
// module can work here and be broken for everybody else.
//
// It packs every module of go.work into a module proxy on disk, at the version
// by which the other modules require it, and then, for each module:
//
//   - builds an empty program that imports all its public packages, and looks
//     at what the program's go.mod has to list for that;
//   - builds its commands from such a program;
//   - installs its commands with "go install", where the go command accepts
//     that: it refuses a module with replace directives, so one under cmd must
//     have none.
//
// It prints one line a module.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/gracex-go/gracex/internal/tools/workspace"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "publishedview:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()

	ws, err := workspace.Load(ctx, ".")
	if err != nil {
		return err
	}
	versions, err := chooseVersions(ws)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "publishedview-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)

	p := proxy(tmp)
	for _, m := range ws.Modules {
		if err := p.add(ws, m, versions[m.Path]); err != nil {
			return fmt.Errorf("packing %s: %w", m.Rel, err)
		}
	}
	env, err := consumerEnv(ctx, ws, p, tmp)
	if err != nil {
		return err
	}
	failed := 0
	for _, m := range ws.Modules {
		c := consumer{ws: ws, module: m, version: versions[m.Path], env: env, tmp: tmp}
		if err := c.check(ctx); err != nil {
			failed++
			fmt.Printf("FAIL\t%s %s: %v\n", m.Path, c.version, err)
			continue
		}
		fmt.Printf("ok\t%s %s: %s\n", m.Path, c.version, strings.Join(c.done, ", "))
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d modules are broken for their users", failed, len(ws.Modules))
	}
	return nil
}
