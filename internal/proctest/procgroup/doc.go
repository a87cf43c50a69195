// Package procgroup starts a program as the leader of a process group, and finds, signals, freezes and ends
// the processes of that group. A program that upgrades itself is several processes in turn; the group names
// all of them, also those of which the caller knows no number.
//
// Programs use it as it is. Package proctest is the same for tests.
package procgroup
