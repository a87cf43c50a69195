// Package core upgrades a running Go web server without dropping a request.
//
// A server started by [ListenAndServe] replaces itself on SIGHUP or SIGUSR2. It starts the
// program that is on disk now, passes its listening sockets on, and serves until the new process
// has reported that it is ready. Then it stops accepting, finishes its work, and ends.
//
// If the new process does not become ready, the old one serves on and logs the reason. If the new
// process turns out to be bad within [WithProbation], the old one accepts again.
//
//	func main() {
//		http.HandleFunc("/", hello)
//		err := core.ListenAndServe(":8080", nil, core.WithLogger(slog.Default()))
//		if err != nil && !errors.Is(err, core.ErrCut) {
//			slog.Error("serve", "error", err)
//			os.Exit(1)
//		}
//	}
//
// Importing this package has effects before main runs. In a process that an upgrade, a supervisor
// or another program's upgrade started, the package takes the arguments and the variables that
// announce it out of os.Args and the environment. With [EnvMode] set to "supervised" the process
// becomes the supervisor, and main does not run in it.
//
// # How it works
//
// Each process of the program is a generation, counted from 0. An upgrade has two processes, the
// old one and the new one. Both hold the same listening socket, so the kernel's queue of
// connections always has an owner.
//
// The new process gets the listeners, and one end of the handover socket, through a socket that it
// inherits, before main runs. What a package does that is initialized before this one changes
// nothing: neither flags that it parses, nor variables that it sets, nor processes that it starts.
//
// The new process reports on the handover socket that it is ready, and accepts when the old one
// has answered. During the probation the old process keeps its listeners, paused, and most of its
// connections. It takes the service back if the new process ends, hangs, or calls [Reject]. When
// the new process has acknowledged the end of the probation, the old one drains. It still takes
// the service back if the new process ends meanwhile.
//
// A drain moves plaintext HTTP/1 connections to the new process, idle ones at once and others
// after their answer. Their clients notice nothing. Requests are answered. Where a connection
// can't move (TLS without [WithTLSHandoff], wrapped listeners), its last answer carries
// Connection: close. HTTP/2 connections that stay get GOAWAY. Handlers that watch [Draining]
// say goodbye, or move their connection with [Handoff].
//
// Up to [WithMaxDraining] old generations drain at a time, each until its own deadline
// ([WithDrainTimeout]). At the deadline the rest is cut, counted and logged.
//
// This package never calls net/http's Shutdown on a server with connections. Shutdown drops
// requests that it has read, and closes idle connections while their clients use them. The page
// docs/design.md in the repository explains how a program's own call of Shutdown, and its
// RegisterOnShutdown hooks, still work.
//
// An upgrade starts the program at the path of the first start, and follows symlinks again, those
// of the working directory too ([WithWorkingDirectory]). The arguments, environment and umask are
// those of the first start, unless "gracex upgrade" or [WithEnvironment] changes them. Only
// descriptors that the program named, and those of this package, are inherited. [WithTrustedBinary]
// refuses a program that others can change. A program that is setuid, setgid or has capabilities
// starts its own file, and believes nothing of its caller: docs/security.md.
//
// Until the new process is ready, and its probation is over, the old one reads the new one's stderr
// and copies it to its own. If it fails, the error ([StartError]) has the last lines.
//
// # Several servers, other sockets, accept loops
//
// [AlsoServe] is an option that adds a port, such as one for metrics, to any way to serve. A port
// that the program opens without this package is lost in an upgrade, and the log says so on Linux.
//
// [Run] and [Upgrader] serve any number of servers on any number of listeners. A process has one
// Upgrader, which several calls of Run share. [Upgrader.ListenPacket] opens UDP and unixgram
// sockets that lose no datagram in an upgrade. [Upgrader.AddConn] and [Upgrader.AddFile] pass
// connections and files on by name.
// [Draining] tells a program with an accept loop of its own to leave.
//
// # Replacing other programs
//
// A process that was started by endless, grace, gracehttp, tableflip or a program with a
// -graceful flag takes over from that program as from another generation. It detects this by
// itself. Under graceful, overseer, Server::Starter and einhorn it is a worker like any other.
// The directory docs/migration in the repository has a page for each, and packages under compat
// have the API of some.
//
// # Behind a load balancer
//
// [Readiness] is middleware that answers /livez and /readyz, with the program's own checks.
// [WithPreStopDelay] makes a stopping process accept for a while after /readyz has begun to
// answer 503, so that the load balancer has time to see it. An upgrade needs no such time,
// because the service stays ready.
//
// # The process number
//
// Whatever has started the program may wait for the end of the process. So the first process keeps
// its number: from its first upgrade on it supervises the service, and starts another process with
// the same listeners when one crashes. When it has drained it is the supervisor and nothing else,
// and what main has deferred has run; use [OnEnd] for what every process has to do at its end.
// Package supervise describes the supervisor, and [Supervise] has one from the first second on.
//
// systemd follows the process number by MAINPID, which this package sends if the unit says
// Type=notify. The number changes with each upgrade then. The socket for that leaves the environment
// before main runs; [NotifySocket] has it. [WithPIDFile] keeps a file that always
// names the process to signal, replaced by rename after the new process has become current.
//
// # For operators
//
// A signal does not report its outcome. With [WithControlSocket] the process answers on a unix
// socket. It reports the state of all generations there, and answers an upgrade with its outcome.
// The gracex command and package control are clients. With the variable [EnvCommand] the program
// itself is such a command.
//
// # Traps
//
//   - Another process can serve a connection's next request. State that a program keeps with a
//     connection in its memory, by address or in the context of ConnContext, is not there. Use
//     [OnHandoff] for connections whose state matters, or switch moving off by
//     [WithConnectionHandoff].
//   - On probation two processes serve, each its own connections. Use WithProbation(0) for a
//     program whose clients meet in its memory, such as a chat.
//   - log.Fatal(core.ListenAndServe(...)) exits with status 1 after a graceful stop, because the
//     error is nil. So does if err != http.ErrServerClosed. Check for nil and [ErrCut].
//   - A scheduler or a consumer that main starts runs in both processes of an upgrade. Use
//     [WhileCurrent].
//   - Main must return when ListenAndServe or Serve does. A main that serves in a goroutine and
//     waits only for a signal does not end after an upgrade. The new process then ends it by
//     SIGTERM, 5 s after its drain, and by SIGKILL after 30 s, if it does not supervise the service.
//   - A handler that hijacks a request which has a body and no Upgrade gets no *net.TCPConn. Its
//     NetConn method returns that one (docs/contracts.md).
//   - For HTTP/2 without TLS set http.Server.Protocols with SetUnencryptedHTTP2. A handler that speaks
//     HTTP/2 on hijacked connections, as h2c.NewHandler of golang.org/x/net does, gets no
//     *net.TCPConn: gracex follows the frames, to tell the clients to leave and to count the requests.
//   - Work that main does before it serves, such as migrations or a lock on a file, runs while
//     the old process still serves. The old process must not hold a resource that the new one
//     needs. An embedded database that locks its file, such as bbolt, badger and pebble, can't be
//     open in both, so the upgrade times out. SQLite in WAL mode can.
//   - A wrapper script around the program must pass its arguments on, and should exec it: exec
//     ./app "$@".
//   - A descriptor that the first start got from outside is not passed on, unless it is stdin,
//     stdout, stderr or a socket that the program has claimed. Pass others on by
//     [Upgrader.AddFile]. Otherwise the lock of flock(1) around the program, for example, is free
//     after an upgrade.
//   - A helper process that starts before this process has passed its probation, with this
//     process's stderr, writes to a pipe that ends with its generation. Give a helper that should
//     live longer a log of its own.
//   - Nothing is accepted before [Upgrader.Ready]. A ready check that sends a request to the
//     server's own listener would get its answer from the old generation.
//   - Code behind ListenAndServe, Serve or Run in main does not run in the first process of a
//     service that it supervises. Defer it, or use [OnEnd].
//
// On systems without fork (Windows) the package builds and a stop is graceful. An upgrade returns
// [ErrUnsupported].
package core
