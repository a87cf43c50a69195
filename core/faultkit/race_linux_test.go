//go:build race

package main

// raceEnabled: this test is built with the race detector.
const raceEnabled = true
