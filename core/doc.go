// Package core restarts a Go web server without its clients noticing.
//
// A server started by [ListenAndServe] replaces itself when it gets SIGHUP or
// SIGUSR2: it starts the program that is on disk now, passes its listening
// sockets on, and goes on serving until the new process has said that it is
// ready. Then it stops accepting, finishes what it has begun, and ends. If the
// new process does not become ready, nothing changes but a line in the log; if it
// turns out to be bad within [WithProbation], the old one accepts again.
//
//	func main() {
//		http.HandleFunc("/", hello)
//		err := core.ListenAndServe(":8080", nil, core.WithLogger(slog.Default()))
//		if err != nil {
//			slog.Error("serve", "error", err)
//			os.Exit(1)
//		}
//	}
//
// # How
//
// Each process of the program is a generation, counted from 0. During an upgrade
// there are two: the current one, and the next one, which inherits the listeners
// as descriptors from 3 up and a handover socket after them, and finds -graceful
// as its first argument, which this package takes out of os.Args before main
// runs. Both hold the same listening socket, so the kernel's queue of connections
// is never without an owner. Once the next generation is ready, it says so on the
// handover socket, and accepts when the old one has answered. For the time of a
// probation the old one keeps its listeners, paused, and most of its connections, and
// takes the service back if the new one ends, hangs, or calls [Reject]. When the new process
// has acknowledged that it goes on by itself the old one drains, and still takes the service back
// if that process ends meanwhile: plaintext HTTP/1 connections move to the new process, idle
// ones at once and others with their answer out, and their clients notice nothing;
// requests are answered, and where a connection can't move (TLS, wrapped listeners)
// its last answer carries Connection: close; HTTP/2 connections get GOAWAY; handlers
// that watch [Draining] say goodbye, or move their connection with [HandOff]. Any
// number of old generations up to [WithMaxDraining] may drain, each until its own deadline
// ([WithDrainTimeout]); then the rest is cut, counted and logged.
//
// net/http's Shutdown is never called on a server with connections: it drops
// requests that it has read, and cuts idle connections in the moment that their
// clients use them. docs/design.md in the repository tells how a program's own
// call of Shutdown, and its RegisterOnShutdown hooks, work all the same.
//
// What runs after an upgrade is what was deployed: the path of the first start,
// with symlinks followed anew, in the directory and with the arguments, the
// environment and the umask of the first start. It inherits no descriptor that
// nobody has named.
//
// Until it is ready, what the new process writes to its stderr comes through the
// old one, which says the last lines in the error ([StartError]) if the start fails.
//
// # Several servers, unix sockets, own accept loops
//
// [Run] and [Upgrader] serve any number of servers on any number of listeners.
// There is one Upgrader in a process. [Upgrader.ListenPacket] has UDP and unixgram sockets
// go on without a datagram lost, [Upgrader.AddConn] and [Upgrader.AddFile] connections and files by
// name. A server that accepts by itself is told by [Draining] that it is time to leave.
//
// # In the place of other programs
//
// A process that endless, grace, gracehttp, tableflip or a program with a -graceful flag has
// started takes over from that one as from another generation; it finds out by itself. It is a worker
// like others under graceful, overseer, Server::Starter and einhorn. docs/migration in the repository has
// a page for each, and packages under compat have the surfaces of some.
//
// # Behind a load balancer
//
// [Readiness] is middleware that answers /livez and /readyz, with the program's own
// checks. [WithPreStopDelay] has a process that is asked to stop go on accepting while
// /readyz already says 503, so that the load balancer has time to see it. An upgrade
// needs no such time: the service stays ready.
//
// # Under a supervisor
//
// The process number changes with an upgrade; [WithPIDFile] keeps a file that
// always names the current one, replaced by rename after the new process is
// current. A supervisor that follows a pid file follows the upgrades, and systemd
// follows what it is told.
//
// For others, and as pid 1 of a container, [WithSupervision] has the program run as the
// worker of a small process that keeps its number for life, and that starts another
// worker, with the same listeners, when one crashes: package supervise.
//
// # For operators
//
// A signal says nothing about what becomes of it. [WithControlSocket] has the process
// answer on a unix socket: where all generations stand, and an upgrade whose outcome is
// the answer. The command gracex speaks to it, and package control.
//
// # Traps
//
//   - A connection may be served by another process from one request to the next:
//     what a program keeps about a connection in its memory, by its address or in
//     the context that ConnContext makes, is not there any more. [OnAdopt] is for
//     connections whose state matters; [WithConnectionHandoff] switches moving off.
//   - On probation two processes serve, each its own connections. A program whose clients
//     meet in its memory (a chat) wants WithProbation(0).
//   - log.Fatal(core.ListenAndServe(...)) exits with status 1 after a clean stop,
//     because nil comes back. Test the error.
//   - Main must return when ListenAndServe or Serve does. One that serves in a goroutine
//     and waits for a signal only does not end after an upgrade; the new process then
//     ends it by SIGTERM, 5 s after the drain timeout.
//   - A hijacked connection is not a *net.TCPConn: that is behind its NetConn method.
//   - Work that main does before it serves (migrations, a lock on a file) is done
//     while the old process still serves. The old process must not hold what the
//     new one needs.
//   - A wrapper script around the program passes its arguments on, and should exec it:
//     exec ./app "$@".
//   - A descriptor that the first start got from outside, and that is not stdin, stdout,
//     stderr or a socket, is not passed on unless by [Upgrader.AddFile]: the lock of flock(1)
//     around the program, say, is free after an upgrade.
//   - A helper process that main starts before it is ready, with this process's stderr, has
//     for that a pipe that ends with its generation; one that is to outlive it should
//     have a log of its own.
//   - Nothing is accepted before [Upgrader.Ready]; a ready check that asks the
//     server itself over its listener would be answered by the old generation.
//   - As pid 1 of a container an upgrade is refused: the container would end with
//     the old process. [WithSupervision] is for that.
//
// On systems without fork (Windows) everything builds and a stop is graceful;
// an upgrade returns [ErrUnsupported].
package core
