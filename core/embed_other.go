//go:build !unix

package core

import "os"

func sameGroup(int) bool { return false }

func isMain() bool { return false }

func hungUpTerminal(os.Signal) bool { return false }

func (l *lifecycle) goOnAsSupervisor() {}

func (l *lifecycle) endSupervisor() {}
