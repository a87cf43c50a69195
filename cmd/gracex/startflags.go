package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
)

// startFlags say how an upgrade starts the new process.
type startFlags struct {
	env, args bool
	envFiles  []string
}

func (s *startFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&s.env, "env", false,
		"start the new process in the environment of this command; --env=false keeps\nthe old one without a warning")
	f.StringArrayVar(&s.envFiles, "env-file", nil,
		"set the variables of a `file` in the environment; as systemd's\nEnvironmentFile=; can be repeated")
	f.BoolVar(&s.args, "args", false, "start the new process with the arguments after --; without any if there are none")
}

// options are what the flags and the arguments say.
func (s *startFlags) options(c *cobra.Command, args []string) (o control.StartOptions, err error) {
	switch {
	case !s.args && len(args) > 0:
		return o, usagef("unknown argument %q; arguments of the app come behind --args --", args[0])
	case s.args && len(args) > 0 && c.ArgsLenAtDash() != 0:
		return o, usagef("%q comes before --; the arguments of the app come behind --args --", args[0])
	case s.args:
		o.Args = append([]string{}, args...)
	}
	for _, file := range s.envFiles {
		env, err := control.ReadEnvironmentFile(file)
		if err != nil {
			return o, usagef("--env-file: %w", err)
		}
		o.SetEnv = append(o.SetEnv, env...)
	}
	switch {
	case s.env:
		o.Env = os.Environ()
	case len(s.envFiles) == 0 && !c.Flags().Changed("env") && inUnit():
		o.CompareEnv = os.Environ()
	}
	return o, nil
}

// inUnit reports whether systemd has started this command, perhaps as the ExecReload= of the app's unit.
func inUnit() bool { return os.Getenv("INVOCATION_ID") != "" }
