// Package echox runs an Echo v5 app that its next version replaces without losing a request. The
// change is one line:
//
//	 	e := echo.New()
//	-	e.Start(":8080")
//	+	echox.Start(e, ":8080")
//
// From then on kill -USR2 or -HUP starts the program that is on disk now, with the same arguments
// and environment. The new process takes the listening socket over when it is ready, and the old
// one finishes its work. If the new process does not become ready, the old one serves on. Package
// [core] describes the rest, and every option. For Echo v4 use echox without /v5.
//
// # Run methods
//
//	Echo                                 echox
//	e.Start(addr)                        Start(e, addr, opts...)
//	sc.StartTLS(ctx, e, cert, key)       StartTLS(e, addr, cert, key, opts...)
//	sc.Start(ctx, e)                     StartWithConfig(ctx, e, sc, opts...)
//	sc.StartTLS(ctx, e, cert, key)       StartTLSWithConfig(ctx, e, sc, cert, key, opts...)
//	http.Server{Handler: e, ...}         core.Serve(srv, opts...)
//
// In the table sc is an echo.StartConfig. All of its fields have the same meaning as in Echo,
// with the exceptions below. Set the server's timeouts in its BeforeServeFunc.
//
// # What differs from Echo
//
// The functions return nil after a clean stop, as in Echo, and in the old process after an
// upgrade. So check the error before log.Fatal:
//
//	if err := echox.Start(e, ":8080"); err != nil && !errors.Is(err, core.ErrCut) {
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
// SIGTERM, SIGINT and SIGQUIT stop gracefully. The program's signal.NotifyContext for them can
// go. The drain then has 30 s (core.WithDrainTimeout or sc.GracefulTimeout), where Echo has 10 s.
// It has the same time after an upgrade, where Echo's timeout has no counterpart.
//
// StartTLS of Echo serves without TLS if it is given a Listener. This package refuses that.
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
