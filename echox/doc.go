// Package echox runs an Echo v4 app that is replaced by its next version without a
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
// and every option, is in [core]. For Echo v5 there is echox/v5.
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
// e.Server, e.TLSServer, e.ListenerNetwork, e.HideBanner, e.HidePort, e.Debug and
// e.DisableHTTP2 mean what they mean in Echo.
//
// # What differs from Echo
//
// A function here returns nil: after a clean stop, where Echo returns
// http.ErrServerClosed, and in the old process after an upgrade. e.Logger.Fatal(
// e.Start(addr)) must not become e.Logger.Fatal(echox.Start(e, addr)), which would
// exit with status 1 after every clean stop. It is
//
//	if err := echox.Start(e, ":8080"); err != nil {
//		e.Logger.Fatal(err)
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
// for them, with its e.Shutdown, can go. e.Shutdown and e.Close still mean a graceful
// stop. They return when the drain has ended, whatever context Shutdown is given, so a
// handler must not wait for them: go e.Shutdown(ctx).
//
// The listener is in e.Listener (or e.TLSListener) before the server is, but set
// without Echo's private lock, which e.Shutdown holds meanwhile. So handlers ask
// e.Listener.Addr(), not e.ListenerAddr(), and a goroutine that polls it is a data race.
//
// e.Server.SetKeepAlivesEnabled is not seen: net/http can't be asked.
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
