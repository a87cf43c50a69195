// Package echox runs an Echo v5 app that is replaced by its next version without a
// lost request. The change is one line:
//
//	 	e := echo.New()
//	-	e.Start(":8080")
//	+	echox.Start(e, ":8080")
//
// From then on kill -USR2 or -HUP starts the program that is on disk now, with
// the same arguments and environment, hands the listening socket over once the
// new process is ready, and lets the old one finish what it has begun. If the
// new one does not get ready, the old one serves on. What happens in between,
// and every option, is in [core]. For Echo v4 there is echox without /v5.
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
// sc is an echo.StartConfig, of which every field means what it means in Echo but for
// what is said below. Its
// BeforeServeFunc is the place to set the server's timeouts.
//
// # What differs from Echo
//
// A function here returns nil: after a clean stop, as Echo does, and in the old
// process after an upgrade. So test the error before a log.Fatal:
//
//	if err := echox.Start(e, ":8080"); err != nil {
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
// SIGTERM, SIGINT and SIGQUIT stop gracefully; signal.NotifyContext for them can go.
// The drain then has 30 s (core.WithDrainTimeout or sc.GracefulTimeout), not 10. It has
// the same after an upgrade, where Echo's timeout has no counterpart.
//
// SetKeepAlivesEnabled in BeforeServeFunc is not seen: net/http can't be asked.
//
// Echo serves without TLS if StartTLS is given a Listener; this package refuses.
//
// There is one such call in a process. For HTTP and HTTPS at once, core.Run attaches
// two servers.
//
// # Health checks
//
// Readiness is middleware that answers /livez and /readyz, the same in every
// adapter. Put it first:
//
//	e.Use(echox.Readiness())
package echox
