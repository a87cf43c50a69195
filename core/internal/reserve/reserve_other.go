//go:build !linux

package reserve

// Threads returns no limits: elsewhere RLIMIT_NPROC counts processes, and one more is one.
func (System) Threads() (own int, l Limits) { return 0, Limits{} }

// Memory returns no limits.
func (System) Memory() (own uint64, l Limits) { return 0, Limits{} }
