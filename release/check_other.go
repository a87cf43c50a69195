//go:build !unix

package release

import "os/exec"

func runAs(*exec.Cmd, string) error { return supported }

func startWritten(func() (*exec.Cmd, error)) (*exec.Cmd, error) { return nil, supported }
