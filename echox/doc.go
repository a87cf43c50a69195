// Package echox runs an Echo v4 app that its next version replaces without losing a request. The
// change is one line:
//
//	 	e := echo.New()
//	-	e.Start(":8080")
//	+	echox.Start(e, ":8080")
//
// From then on kill -USR2 or -HUP starts the program that is on disk now, with the same arguments
// and environment. The new process takes the listening socket over when it is ready, and the old
// one finishes its work. If the new process does not become ready, the old one serves on. Package
// [core] describes the rest, and every option. For Echo v5 use echox/v5.
//
// # Run methods
//
//	Echo                              echox
//	e.Start(addr)                     Start(e, addr, opts...)
//	e.StartTLS(addr, cert, key)       StartTLS(e, addr, cert, key, opts...)
//	e.StartAutoTLS(addr)              StartAutoTLS(e, addr, opts...)
//	e.StartH2CServer(addr, h2s)       StartH2CServer(e, addr, h2s, opts...)
//	e.StartServer(srv)                StartServer(e, srv, opts...)
//	e.Listener = ln, from net.Listen  e.Listener = ln, from core.Listen
//
// e.Server, e.TLSServer, e.ListenerNetwork, e.HideBanner, e.HidePort, e.Debug and e.DisableHTTP2
// have the same meaning as in Echo.
//
// # What differs from Echo
//
// The functions return nil after a clean stop, where Echo returns http.ErrServerClosed, and in
// the old process after an upgrade. e.Logger.Fatal(e.Start(addr)) must not become
// e.Logger.Fatal(echox.Start(e, addr)), which would exit with status 1 after every clean stop.
// Write
//
//	if err := echox.Start(e, ":8080"); err != nil && !errors.Is(err, core.ErrCut) {
//		e.Logger.Fatal(err)
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
// SIGTERM, SIGINT and SIGQUIT stop gracefully. The program's own handler for them, with its call
// of e.Shutdown, can go. e.Shutdown and e.Close still mean a graceful stop. They return when the
// drain has ended, whatever context Shutdown is given. So a handler must not wait for them, and
// calls go e.Shutdown(ctx).
//
// The listener is in e.Listener (or e.TLSListener) before the server is. It is set without Echo's
// private lock, which e.Shutdown holds meanwhile. So handlers call e.Listener.Addr() and not
// e.ListenerAddr(), and a goroutine that polls the latter causes a data race.
//
// Two apps can also be started by two calls in goroutines of their own, with the same options. A
// stop of one of them stops the process.
//
// # Health checks
//
// Readiness is middleware that answers /livez and /readyz, the same in every adapter. Put it
// first:
//
//	e.Use(echox.Readiness())
package echox
