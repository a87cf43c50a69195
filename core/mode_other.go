//go:build !unix

package core

// becomeSupervisor does nothing here: there are no upgrades that would change the process.
func becomeSupervisor() error { return nil }

func beSupervisor() {}
