// Package exampletest starts the example programs, upgrades them under load and
// checks what they have in common, their contract:
//
//   - The flags are -addr, -pidfile, -drain, -probation and -prestop.
//   - GET and POST of / answer with the body that they were sent, after the time
//     that ?d= asks for, and say in X-Pid and X-Generation who answered.
//   - /livez and /readyz answer as core.Readiness does, during -prestop too.
//   - SIGUSR2 and SIGHUP upgrade the program, and no client notices.
//   - A new process that dies during -probation is replaced by the old one.
//   - SIGTERM stops it, with exit status 0 and the pid file removed.
//   - An error is a line on standard error that names the program and what the
//     error is about, and exit status 1.
//
// The contract of the HTTP examples is checked on what go build makes of them. The other examples
// are played by their own test binary, whose TestMain is
//
//	func TestMain(m *testing.M) { exampletest.Main(m, main) }
package exampletest
