//go:build !race

package proctest

// Raced reports whether the race detector is on.
const Raced = false
