// Package grpcx runs a gRPC server of grpc-go that its next version replaces without losing a call. The change
// is one line:
//
//	 	srv := grpc.NewServer()
//	-	ln, err := net.Listen("tcp", ":9090")
//	-	err = srv.Serve(ln)
//	+	err := grpcx.Serve(srv, ":9090")
//
// From then on kill -USR2 or -HUP starts the program that is on disk now, with the same arguments
// and environment. The new process takes the listening socket over when it is ready, and the old
// one finishes its calls. If the new process does not become ready, the old one serves on. Package
// [core] describes the rest, and every option.
//
// It is for grpc-go's own transport, which is that of grpc.Server.Serve. A server that is the handler of an http.Server
// (grpc.Server.ServeHTTP, connect-go) is served by core.Serve or an adapter, as any handler is.
//
// # Run methods
//
//	grpc-go                                   grpcx
//	net.Listen("tcp", addr), srv.Serve(ln)    Serve(srv, addr, opts...)
//	net.Listen("unix", file), srv.Serve(ln)   ServeUnix(srv, file, opts...)
//	srv.Serve(ln)                             ServeListener(srv, ln, opts...), ln from core.Listen
//	several servers                           Attach(u, srv, ln) in the function of core.Run
//	grpc.Creds(credentials.NewTLS(conf))      grpc.Creds(NewTLS(conf))
//
// # What happens to calls
//
// While an upgrade can be rolled back, no client is told anything. When the new process has the service for good,
// connections in the clear move to it, each when it has no open stream: its client gets no byte of that, and makes its next
// call on the same connection. Those over TLS 1.3 do with the credentials of NewTLS and core.WithTLSHandoff(true). Calls
// and streams that have begun go on in the old process, until core.WithDrainTimeout cuts what is left. The ledger counts
// connections, not calls: each that is cut has calls on it.
//
// Other connections over TLS, and such as can't move, stay (docs/moving-grpc.md). When no connection is to move any more
// the old process calls GracefulStop, which says GOAWAY in two steps. So no stream is refused, and clients open new ones
// on a new connection. On a stop it does that at once.
//
// StreamInterceptor ends streams with a status shortly before they would be cut.
//
// A late rollback (core.WithProbation, docs/drain.md) does not take a gRPC listener back.
//
// # What differs from grpc-go
//
// The functions return nil after a clean stop, as Serve does after GracefulStop, and in the old
// process after an upgrade. Write
//
//	if err := grpcx.Serve(srv, ":9090"); err != nil && !errors.Is(err, core.ErrCut) {
//		log.Fatal(err)
//	}
//
// core.ErrCut means that the stop is done and has cut what was left at its deadline, such as a stream without an end.
// It does not come back after a handover.
//
// Work that main does before the call runs in every generation, while the one before still
// serves. A lock or a migration must allow for that. Work for the end of each process belongs in
// core.OnEnd. A first process that goes on as the supervisor of the service runs what main has
// deferred, and the call does not return there.
//
// A port for metrics or profiles is one more option, core.AlsoServe(":9090", handler). One that the program opens
// itself, with http.ListenAndServe, is lost in an upgrade.
//
// SIGHUP upgrades. A program that reloads its configuration on SIGHUP sets other signals with
// core.WithSignals.
//
// SIGTERM, SIGINT and SIGQUIT stop gracefully. The program's own handler for them, with its call
// of srv.GracefulStop, can go. srv.GracefulStop and srv.Stop still mean a stop of the process.
//
// # Health checks
//
// Readiness registers gRPC's health service:
//
//	grpcx.Readiness(srv)
package grpcx
