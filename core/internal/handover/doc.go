// Package handover decides who serves while one process hands the service over to the next: one state machine
// for the old process, [Old], and one for the new one, [New]. Each Step takes what has happened and returns
// what is to be done, in this order. There is no clock, goroutine or system call in it: package core carries
// the effects out, one at a time, and the tests of this package run both machines against each other through
// every order of words, deaths, stops and timers (docs/model.md).
//
// The rule behind both: nothing is given up before the other process has acknowledged
// that it has it, and as long as a process lives and no other serves, it serves.
// docs/protocol.md has the words that the two say and a table of what is given up when.
package handover
