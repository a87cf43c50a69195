package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// checkTime bounds a command that checks a program.
const checkTime = 30 * time.Second

// check runs a command on a program that is not used yet. "{}" in it stands for the program's path, which is last if it
// is nowhere. It gets no input, and a small environment: nothing that is secret is in it.
func check(ctx context.Context, command []string, asUser, program string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	named := false
	var args []string
	for _, a := range command {
		named = named || strings.Contains(a, "{}")
		args = append(args, strings.ReplaceAll(a, "{}", program))
	}
	if !named {
		args = append(args, program)
	}
	var out lastBytes
	cmd, err := startWritten(func() (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Dir = "/"
		cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GRACEX_CHECK=1"}
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.WaitDelay = time.Second // a grandchild can hold the pipe
		return cmd, runAs(cmd, asUser)
	})
	if err == nil {
		err = cmd.Wait()
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ctx.Err()
	case ctx.Err() != nil:
		return refuse("the check %s has not ended within %v%s", args[0], checkTime, out.said())
	case errors.As(err, &exit):
		return refuse("the check %s: %w%s", args[0], err, out.said())
	}
	return notNow("the check %s: %w", args[0], err)
}

// lastBytes keeps the end of an output.
type lastBytes struct{ b []byte }

func (l *lastBytes) Write(b []byte) (int, error) {
	l.b = append(l.b, b...)
	l.b = l.b[max(0, len(l.b)-maxText/2):]
	return len(b), nil
}

func (l *lastBytes) said() string {
	s := strings.TrimSpace(string(bytes.ToValidUTF8(l.b, []byte("?"))))
	if s == "" {
		return ""
	}
	return fmt.Sprintf("; it wrote: %s", strings.ReplaceAll(s, "\n", " | "))
}
