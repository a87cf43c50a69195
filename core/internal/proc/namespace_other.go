//go:build !linux

package proc

// PIDNamespace is not known here.
func PIDNamespace() uint64 { return 0 }

// PIDNamespaceOf is not known here.
func PIDNamespaceOf(int) uint64 { return 0 }

// Numbers returns pid.
func Numbers(pid int) []int { return []int{pid} }

// Root is the same for all processes here.
func Root(int) string { return "" }
