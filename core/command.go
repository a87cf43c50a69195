package core

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/spawn"
)

// EnvCommand is the environment variable by which an operator makes the program a command for the running app, so
// that no other program is needed for that. The value is the command, and the program's arguments are the
// command's:
//
//	GRACEX_COMMAND=status ./app
//	GRACEX_COMMAND=upgrade ./app --drain
//	GRACEX_COMMAND=rollback ./app --reason "error rate"
//
// The commands are those of control.Command, and so are the flags, the texts and the exit status. They run before
// main. Without --pid, --pid-file and --socket they are for the app that runs this program.
//
// The variable turns every program on gracex into the command, so set it for one command line only, and do not
// export it. With another value, or with the arguments of the server, the program ends with exit status 2. It has no
// effect on a process that an upgrade or a supervisor starts. It is taken out of the environment before main.
const EnvCommand = "GRACEX_COMMAND"

// takeCommand takes the variable out of the environment. It does not return if this process is the command.
func takeCommand(server bool) {
	name := os.Getenv(EnvCommand)
	_ = os.Unsetenv(EnvCommand)
	if name == "" || server {
		return
	}
	os.Exit(runCommand(name)) //nolint:forbidigo // this process is the command and not the program
}

func runCommand(name string) int {
	if !slices.Contains(control.Commands, name) {
		fmt.Fprintf(os.Stderr, "gracex: %s=%q is none of %s; unset it to run the program\n",
			EnvCommand, name, strings.Join(control.Commands, ", "))
		return control.ExitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	l := spawn.Launch{Argv: os.Args, Env: os.Environ()}
	l.NameDir()
	program, _ := l.Path()
	args := append([]string{name}, os.Args[1:]...)
	code := control.Command(ctx, args, control.Query{Program: program}, os.Stdout, os.Stderr)
	if code == control.ExitUsage {
		fmt.Fprintf(os.Stderr, "gracex: %s=%s makes this process that command; unset it to run the program\n",
			EnvCommand, name)
	}
	return code
}
