// Command benchkit measures what gracex costs a program, without an upgrade and around one, and prints tables
// in Markdown. It needs Linux. docs/performance.md says what each figure means.
//
// It starts real processes of its own small server, loads them from this process over the loopback interface, upgrades
// them by SIGUSR2, and reads the moments of an upgrade from their log. In a clone of the repository
//
//	go run ./core/benchkit
//	go run ./core/benchkit -run '^move/'
//
// It has five modes, each with cells that -run chooses by their name, "mode/what":
//
//   - steady: throughput and server CPU for a request, without an upgrade, against the same server on net/http alone; over
//     HTTP/1, and in the cell steady/h2c over HTTP/2 in the clear.
//   - p99: the latency of requests at a fixed rate in the window of an upgrade, against the latency at any other
//     time, with idle connections beside.
//   - move: how long idle connections take to move to the new process.
//   - series: how long an upgrade takes by what the process has open, and whether the hundredth takes longer.
//   - memory: what a parked connection takes in the new process, and what the old process holds while it drains.
//
// # Two builds
//
// The server can be built to a file, and two of them are compared, one round of this and one of the other in turn:
//
//	go run ./core/benchkit -build /tmp/before
//	go run ./core/benchkit -against /tmp/before
//
// # The exit status
//
// It is 1 if a request was lost, a connection broke, or nothing could be measured. It is never 1 because of a time:
// how much is too much depends on the machine.
package main
