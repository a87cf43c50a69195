package spawn

import (
	"os"
	"slices"
	"strings"
)

// StartArgs returns the arguments that this process was started with. Packages that were initialized before this one
// can have changed os.Args, so the kernel's copy counts, where it has one.
func StartArgs() []string {
	args, err := kernelArgs()
	// An emulator (qemu-user, Rosetta) puts itself in front.
	if err != nil || len(args) == 0 || len(os.Args) == 0 || args[0] != os.Args[0] {
		return slices.Clone(os.Args)
	}
	return args
}

// StartEnv returns the environment that this process was started with, without the private variables and the names
// in without. Packages that were initialized before this one can have changed os.Environ, so the kernel's copy
// counts. The error says why there is none: then the environment is that of now.
func StartEnv(without ...string) (env []string, err error) {
	if env, err = kernelEnviron(); err != nil {
		env = os.Environ()
	}
	return slices.DeleteFunc(Public(asGoHasIt(env)), func(s string) bool {
		return slices.Contains(without, nameOf(s))
	}), err
}

// asGoHasIt leaves out what package os does: the first assignment of a name counts.
func asGoHasIt(env []string) (out []string) {
	seen := make(map[string]bool, len(env))
	for _, s := range env {
		name, _, ok := strings.Cut(s, "=")
		if s == "" || ok && seen[name] {
			continue
		}
		seen[name] = seen[name] || ok
		out = append(out, s)
	}
	return out
}
