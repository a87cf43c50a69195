// Package foreign reads what programs that know nothing of gracex start a process with, so that
// it can take their sockets over: one reader for each protocol, chosen by what the environment and
// the arguments show. docs/protocol.md describes them.
package foreign
