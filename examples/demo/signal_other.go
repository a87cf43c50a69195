//go:build !unix

package main

import (
	"errors"
	"os/exec"
)

// supported is false: without the signals of Unix there is nothing to show, and run
// says so before it calls any of these.
const supported = false

func ownGroup(*exec.Cmd) {}
func upgrade(int) error  { return errors.ErrUnsupported }
func terminate(int)      {}
func kill(int)           {}
