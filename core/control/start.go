package control

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// StartOptions says how an upgrade starts the new process. The zero StartOptions starts it as the old one was
// started. What is given here also holds for later upgrades, and for a supervisor after a crash, unless the upgrade
// fails or is rolled back.
type StartOptions struct {
	// Env is the environment of the new process, as "NAME=value". Variables of one process alone, such as
	// NOTIFY_SOCKET and PWD, stay as they are in the app, and gracex's private ones are ignored. Nil means that the
	// environment stays.
	Env []string `json:"env,omitzero"`
	// SetEnv sets single variables in the environment.
	SetEnv []string `json:"set_env,omitempty"`
	// Args are the arguments of the new process, without the program's name. Nil means that they stay.
	Args []string `json:"args,omitzero"`
	// CompareEnv is the caller's environment, for a warning (StepWarning) if it is a newer one of the app's own
	// systemd unit. It excludes Env and SetEnv.
	CompareEnv []string `json:"compare_env,omitempty"`
}

func (s StartOptions) isZero() bool {
	return s.Env == nil && s.SetEnv == nil && s.Args == nil && len(s.CompareEnv) == 0
}

// check returns an error for what JSON has no form for.
func (s StartOptions) check() error {
	for _, env := range [][]string{s.Env, s.SetEnv} {
		for _, v := range env {
			if !utf8.ValidString(v) {
				name, _, _ := strings.Cut(v, "=")
				return fmt.Errorf("the variable %q is not UTF-8 and can't be passed on; take it out of the environment", name)
			}
		}
	}
	for _, arg := range s.Args {
		if !utf8.ValidString(arg) {
			return fmt.Errorf("the argument %q is not UTF-8 and can't be passed on", arg)
		}
	}
	return nil
}
