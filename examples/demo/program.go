package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// program is a server that can be upgraded. All of them have the flags -addr,
// -pidfile and -drain, echo the request's body and say in X-Pid who answered.
type program struct {
	name string   // in the ledger
	pkg  string   // what go build gets
	args []string // beside the flags that all have
	path string   // the file, once it is built
}

var (
	ginExample  = program{name: "gracex", pkg: "github.com/gracex-go/gracex/examples/gin", args: []string{"-probation", probation.String()}}
	usualRecipe = program{name: "usual recipe", pkg: "github.com/gracex-go/gracex/core/testdata/plain"}
)

// build compiles the program into dir.
func (p *program) build(ctx context.Context, dir string) error {
	p.path = filepath.Join(dir, path.Base(p.pkg))
	out, err := exec.CommandContext(ctx, "go", "build", "-o", p.path, p.pkg).CombinedOutput()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errors.New("interrupted before there was anything to count")
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("can't build %s: no go command in PATH; install Go from https://go.dev/dl", p.pkg)
	}
	return fmt.Errorf("can't build %s: %w\n%s\nRun the demo inside a clone of the repository: go run ./examples/demo",
		p.pkg, err, strings.TrimSpace(string(out)))
}
