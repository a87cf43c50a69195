//go:build !race

package core

// underRace: the tests do not run under the race detector.
const underRace = false
