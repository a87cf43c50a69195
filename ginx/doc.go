// Package ginx runs a Gin app that is replaced by its next version without a lost
// request. The change is one line:
//
//	 	r := gin.Default()
//	-	r.Run(":8080")
//	+	ginx.Run(r, ":8080")
//
// From then on kill -USR2 or -HUP starts the program that is on disk now, with
// the same arguments and environment, hands the listening socket over once the
// new process is ready, and lets the old one finish what it has begun. If the
// new one does not get ready, the old one serves on. What happens in between,
// and every option, is in [core].
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
// RunQUIC has to wait: it serves on a UDP socket, where nothing but the state in
// the old process's memory says which packet belongs to which connection. With
// two processes on the socket each gets packets of the other's connections. The
// core hands over stream listeners only.
//
// # What differs from Gin
//
// A function here returns nil: after a clean stop, and in the old process after
// an upgrade. log.Fatal(r.Run()) must not become log.Fatal(ginx.Run(r, "")),
// which would exit with status 1 after every clean stop. It is
//
//	if err := ginx.Run(r, ":8080"); err != nil {
//		log.Fatal(err)
//	}
//
// What main does before the call runs in every generation, while the one before
// still serves: a second listener, a lock or a migration must bear that. What
// main does after it runs at the end of each.
//
// Call it in main, or have main wait for its return. One that serves in a goroutine
// and waits for a signal only does not end after an upgrade; the new process then ends
// it by SIGTERM, 5 s after the drain timeout.
//
// SIGHUP upgrades: a program that reloads its configuration by it sets other signals
// with core.WithSignals.
//
// SIGTERM, SIGINT and SIGQUIT stop gracefully, so a handler of the program's own
// for them, and its http.Server.Shutdown, can go.
//
// An empty addr of Run means what r.Run() without an argument means, where
// r.Run("") would mean port 80.
//
// UseH2C is honoured with net/http's own unencrypted HTTP/2, for clients that
// know beforehand that the server speaks it (prior knowledge, RFC 9113, section
// 3.3): gRPC and proxies do. A request with "Upgrade: h2c", which RFC 9113 has
// done away with, is answered in HTTP/1.1. r.Handler(), which answers it, takes
// every HTTP/2 connection away from net/http, so that nobody can drain it.
//
// Debug mode prints what Gin prints: the address, and the warning about trusted
// proxies, but not for an engine that reads no client address from headers.
//
// # Health checks
//
// Readiness is middleware that answers /livez and /readyz, the same in every
// adapter. Put it first:
//
//	r.Use(ginx.Readiness())
package ginx
