//go:build !unix

package main

import (
	"errors"
	"os/exec"
)

// Without the signals and the descriptors of Unix there is nothing to show; run
// says so before any of these is called.
const supported = false

func ownGroup(*exec.Cmd)               {}
func upgrade(int) error                { return errors.ErrUnsupported }
func terminate(int)                    {}
func kill(int)                         {}
func members(_ int, known []int) []int { return known }
