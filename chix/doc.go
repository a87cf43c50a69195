// Package chix runs a chi app that its next version replaces without losing a request. The change
// is one line:
//
//	 	r := chi.NewRouter()
//	-	http.ListenAndServe(":8080", r)
//	+	chix.ListenAndServe(":8080", r)
//
// From then on kill -USR2 or -HUP starts the program that is on disk now, with the same arguments
// and environment. The new process takes the listening socket over when it is ready, and the old
// one finishes its work. If the new process does not become ready, the old one serves on. Package
// [core] describes the rest, and every option.
//
// A chi router is an http.Handler. So this package has core's functions under their own names,
// and it fits every other http.Handler, such as gorilla/mux and http.ServeMux.
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
// The functions return nil after a clean stop, where net/http returns http.ErrServerClosed, and in the old
// process after an upgrade. log.Fatal(http.ListenAndServe(addr, r)) must not become
// log.Fatal(chix.ListenAndServe(addr, r)), which would exit with status 1 after every clean stop. Write
//
//	if err := chix.ListenAndServe(":8080", r); err != nil && !errors.Is(err, core.ErrCut) {
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
// SIGTERM, SIGINT and SIGQUIT stop gracefully. The program's own handler for them, with its call
// of srv.Shutdown, can go. srv.Shutdown and srv.Close still mean a graceful stop. They return
// when the drain has ended, whatever context Shutdown is given. So a handler must not wait for
// them.
//
// For HTTP/2 without TLS set srv.Protocols with SetUnencryptedHTTP2(true). The handler of
// h2c.NewHandler works, too: it hijacks HTTP/2 connections, and gracex tells their clients to leave
// and counts the requests.
//
// # Health checks
//
// Readiness is middleware that answers /livez and /readyz, the same in every adapter. Put it first:
//
//	r.Use(chix.Readiness())
package chix
