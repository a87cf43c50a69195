// Package procgroup starts, finds, signals, freezes and ends the processes of a process group. A program that upgrades itself
// is several processes in turn; the group names all of them, also those of which the caller knows no number.
//
// Programs use it as it is. Package proctest is for tests.
package procgroup
