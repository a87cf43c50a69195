// Package macaronx runs a Macaron app that is replaced by its next version without a
// lost request. The change is one line:
//
//	 	m := macaron.Classic()
//	-	m.Run("127.0.0.1", 8080)
//	+	macaronx.Run(m, "127.0.0.1", 8080)
//
// From then on kill -USR2 or -HUP starts the program that is on disk now, with
// the same arguments and environment, hands the listening socket over once the
// new process is ready, and lets the old one finish what it has begun. If the
// new one does not get ready, the old one serves on. What happens in between,
// and every option, is in [core].
//
// # Run methods
//
//	Macaron                                      macaronx
//	m.Run(args...)                               Run(m, args...), core.Options among them
//	http.ListenAndServe(addr, m)                 RunAddr(m, addr, opts...)
//	http.ListenAndServeTLS(addr, cert, key, m)   RunTLS(m, addr, cert, key, opts...)
//	net.Listen("unix", file), http.Serve(ln, m)  RunUnix(m, file, opts...)
//	http.Serve(ln, m)                            RunListener(m, ln, opts...), ln from core.Listen
//	http.Server{Handler: m, ...}                 core.Serve(srv, opts...)
//	type SelfMacaron, -graceful                  SelfMacaron{Macaron: m}
//
// # What differs from Macaron
//
// m.Run returns nothing: it ends the process when it can't serve, after it has
// logged why. A function here returns the error, and nil after a clean stop and in
// the old process after an upgrade. A program that drops it would end with status 0
// when its port is taken. It is
//
//	if err := macaronx.Run(m); err != nil {
//		log.Fatal(err)
//	}
//
// and not log.Fatal(macaronx.Run(m)), which would exit with status 1 after every clean
// stop.
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
// SIGTERM, SIGINT and SIGQUIT stop gracefully.
//
// Run(m, ":8080") listens there, where m.Run(":8080") fails. What Run can't use is an
// error, where m.Run ignores it.
//
// # A SelfMacaron of your own
//
// Programs that upgrade themselves with a "-graceful" flag often have a type
// SelfMacaron that embeds *macaron.Macaron and has a Run(host string, port int) of its
// own. Delete the type, the flag and the signal handler, and say macaronx.SelfMacaron.
// The running process then starts the new program as it always did, and hands over
// to it: see examples/migrate-macaron.
//
// # Health checks
//
// Readiness is a handler that answers /livez and /readyz. Put it first:
//
//	m.Use(macaronx.Readiness())
package macaronx
