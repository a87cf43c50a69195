// Package macaronx runs a Macaron app that its next version replaces without losing a request.
// The change is one line:
//
//	 	m := macaron.Classic()
//	-	m.Run("127.0.0.1", 8080)
//	+	macaronx.Run(m, "127.0.0.1", 8080)
//
// From then on kill -USR2 or -HUP starts the program that is on disk now, with the same arguments
// and environment. The new process takes the listening socket over when it is ready, and the old
// one finishes its work. If the new process does not become ready, the old one serves on. Package
// [core] describes the rest, and every option.
//
// # Run methods
//
//	Macaron                                      macaronx
//	m.Run(args...)                               Run(m, args...), core.Option values among them
//	http.ListenAndServe(addr, m)                 RunAddr(m, addr, opts...)
//	http.ListenAndServeTLS(addr, cert, key, m)   RunTLS(m, addr, cert, key, opts...)
//	net.Listen("unix", file), http.Serve(ln, m)  RunUnix(m, file, opts...)
//	http.Serve(ln, m)                            RunListener(m, ln, opts...), ln from core.Listen
//	http.Server{Handler: m, ...}                 core.Serve(srv, opts...)
//	type SelfMacaron, -graceful                  SelfMacaron{Macaron: m}
//
// # What differs from Macaron
//
// m.Run returns nothing. If it can't serve, it logs the reason and ends the process. The
// functions here return the error, and nil after a clean stop and in the old process after an
// upgrade. A program that ignores the error would end with status 0 when its port is taken. Write
//
//	if err := macaronx.Run(m); err != nil && !errors.Is(err, core.ErrCut) {
//		log.Fatal(err)
//	}
//
// core.ErrCut means that the stop is done and has cut what was left at its deadline, such as an open WebSocket.
// It does not come back after a handover.
//
// and not log.Fatal(macaronx.Run(m)), which would exit with status 1 after every clean stop.
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
// SIGTERM, SIGINT and SIGQUIT stop gracefully.
//
// Run(m, ":8080") listens on that address, where m.Run(":8080") fails. Run returns an error for
// an argument that it can't use, where m.Run ignores it.
//
// # A SelfMacaron of your own
//
// A program that upgrades itself with a "-graceful" flag often has a type SelfMacaron that embeds
// *macaron.Macaron and has a method Run(host string, port int). Delete the type, the flag and the
// signal handler, and use macaronx.SelfMacaron. The running process then starts the new program
// as before, and hands over to it. See examples/migrate-macaron.
//
// # Health checks
//
// Readiness is a handler that answers /livez and /readyz. Put it first:
//
//	m.Use(macaronx.Readiness())
package macaronx
