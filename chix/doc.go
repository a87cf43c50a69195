// Package chix runs a chi app that is replaced by its next version without a lost
// request. The change is one line:
//
//	 	r := chi.NewRouter()
//	-	http.ListenAndServe(":8080", r)
//	+	chix.ListenAndServe(":8080", r)
//
// From then on kill -USR2 or -HUP starts the program that is on disk now, with
// the same arguments and environment, hands the listening socket over once the
// new process is ready, and lets the old one finish what it has begun. If the
// new one does not get ready, the old one serves on. What happens in between,
// and every option, is in [core].
//
// A chi router is an http.Handler, so this package is core's functions by their
// names, and fits every other one: gorilla/mux, http.ServeMux.
//
// # Run methods
//
//	net/http                                     chix
//	http.ListenAndServe(addr, r)                 ListenAndServe(addr, r, opts...)
//	http.ListenAndServeTLS(addr, cert, key, r)   ListenAndServeTLS(addr, cert, key, r, opts...)
//	net.Listen("unix", file), http.Serve(ln, r)  ListenAndServeUnix(file, r, opts...)
//	srv.ListenAndServe()                         Serve(srv, opts...)
//	srv.ListenAndServeTLS("", "")                Serve(srv, opts...)
//	srv.ListenAndServeTLS(cert, key)             ServeTLS(srv, cert, key, opts...)
//	srv.Serve(ln)                                ServeListener(srv, ln, opts...), ln from core.Listen
//
// # What differs from net/http
//
// A function here returns nil: after a clean stop, where net/http returns
// http.ErrServerClosed, and in the old process after an upgrade. log.Fatal(
// http.ListenAndServe(addr, r)) must not become log.Fatal(chix.ListenAndServe(addr,
// r)), which would exit with status 1 after every clean stop. It is
//
//	if err := chix.ListenAndServe(":8080", r); err != nil {
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
// for them, with its srv.Shutdown, can go. srv.Shutdown and srv.Close still mean a
// graceful stop. They return when the drain has ended, whatever context Shutdown is
// given, so a handler must not wait for them. SetKeepAlivesEnabled is not seen: net/http
// can't be asked.
//
// # Health checks
//
// Readiness is middleware that answers /livez and /readyz, the same in every
// adapter. Put it first:
//
//	r.Use(chix.Readiness())
package chix
