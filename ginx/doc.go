// Package ginx runs a Gin app that its next version replaces without losing a request. The change
// is one line:
//
//	 	r := gin.Default()
//	-	r.Run(":8080")
//	+	ginx.Run(r, ":8080")
//
// From then on kill -USR2 or -HUP starts the program that is on disk now, with the same arguments
// and environment. The new process takes the listening socket over when it is ready, and the old
// one finishes its work. If the new process does not become ready, the old one serves on. Package
// [core] describes the rest, and every option.
//
// # Run methods
//
//	Gin                            ginx
//	r.Run(addr)                    Run(r, addr, opts...)
//	r.RunTLS(addr, cert, key)      RunTLS(r, addr, cert, key, opts...)
//	r.RunUnix(file)                RunUnix(r, file, opts...)
//	r.RunFd(fd)                    RunFd(r, fd, opts...)
//	r.RunListener(ln)              RunListener(r, ln, opts...), ln from core.Listen
//	r.RunQUIC(addr, cert, key)     none yet
//	http.Server{Handler: r, ...}   core.Serve(srv, opts...)
//
// RunQUIC has no counterpart yet. It serves on a UDP socket, and only the memory of the old
// process says which packet belongs to which connection. With two processes on the socket each
// would get packets of the other's connections.
//
// # What differs from Gin
//
// The functions return nil after a clean stop, and in the old process after an upgrade. log.Fatal(r.Run())
// must not become log.Fatal(ginx.Run(r, "")), which would exit with status 1 after every clean stop. Write
//
//	if err := ginx.Run(r, ":8080"); err != nil && !errors.Is(err, core.ErrCut) {
//		log.Fatal(err)
//	}
//
// core.ErrCut means that the stop is done and has cut what was left at its deadline, such as an open WebSocket.
// It does not come back after a handover.
//
// Work that main does before the call runs in every generation, while the one before still
// serves. A lock or a migration must allow for that. Work for the end of each process belongs in
// core.OnEnd. A first process that goes on as the supervisor of the service runs what main has
// deferred, and the call does not return there.
//
// A port for metrics, profiles or plain HTTP is one more option, core.AlsoServe(":9090", handler).
// One that the program opens itself, with http.ListenAndServe, is lost in an upgrade.
//
// Make the call in main, or let main wait for its return. A main that serves in a goroutine and
// waits only for a signal does not end after an upgrade. The new process then ends it by SIGTERM,
// 5 s after its drain, unless it supervises the service.
//
// SIGHUP upgrades. A program that reloads its configuration on SIGHUP sets other signals with
// core.WithSignals.
//
// SIGTERM, SIGINT and SIGQUIT stop gracefully. The program's own handler for them, and its call
// of http.Server.Shutdown, can go.
//
// An empty addr of Run means the address of r.Run() without an argument. r.Run("") would mean port 80.
//
// UseH2C works with net/http's own unencrypted HTTP/2. It is for clients that know beforehand that the server
// speaks it (prior knowledge, RFC 9113, section 3.3), such as gRPC and proxies. A request with "Upgrade:
// h2c", which RFC 9113 has abolished, is answered in HTTP/1.1. r.Handler() would answer it, but takes every
// HTTP/2 connection away from net/http, so that it can't be drained.
//
// In debug mode Run prints the same as Gin. It prints the address and the warning about trusted
// proxies, but no warning for an engine that reads no client address from headers.
//
// # Health checks
//
// Readiness is middleware that answers /livez and /readyz, the same in every adapter. Put it first:
//
//	r.Use(ginx.Readiness())
package ginx
