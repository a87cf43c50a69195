//go:build !unix

package core

// becomeSupervisor does nothing here: there are no upgrades that would change the process.
func (*startup) becomeSupervisor() error { return nil }

func beSupervisor(string, []int) {}
