//go:build race

package core

// underRace: the tests run under the race detector, which takes several times the memory.
const underRace = true
