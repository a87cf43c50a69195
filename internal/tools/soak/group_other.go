//go:build !unix

package main

import (
	"errors"
	"os"
)

var upgradeSignals []os.Signal

const supported = false

type group int

func startGroup(string, []string, string, []*os.File) (group, error) {
	return 0, errors.ErrUnsupported
}

func (group) deliver(int, os.Signal) error { return errors.ErrUnsupported }

func (group) reap() []exit { return nil }

func (group) members([]int) (live, zombies []int) { return nil, nil }
