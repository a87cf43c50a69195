package grpcx_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/grpcx"
)

func ExampleServe() {
	srv := grpc.NewServer(grpc.ChainStreamInterceptor(grpcx.StreamInterceptor))
	grpcx.Readiness(srv)

	if err := grpcx.Serve(srv, ":9090"); err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleServe_options() {
	err := grpcx.Serve(grpc.NewServer(), ":9090",
		core.WithPIDFile("/run/app.pid"),
		core.WithPreStopDelay(10*time.Second),
		core.WithDrainTimeout(time.Minute),
		core.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
		core.AlsoServe("127.0.0.1:9091", http.DefaultServeMux, core.Named("metrics")),
	)
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

// The clients stay connected over TLS, too.
func ExampleNewTLS() {
	cert, err := tls.LoadX509KeyPair("server.crt", "server.key")
	if err != nil {
		log.Fatal(err)
	}
	srv := grpc.NewServer(grpc.Creds(grpcx.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}})))
	err = grpcx.Serve(srv, ":9090", core.WithTLSHandoff(true))
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleServeUnix() {
	err := grpcx.ServeUnix(grpc.NewServer(), "/run/app/grpc.sock")
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleServeListener() {
	ln, err := core.Listen(context.Background(), "tcp", ":9090") // not net.Listen
	if err != nil {
		log.Fatal(err)
	}
	err = grpcx.ServeListener(grpc.NewServer(), ln)
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleAttach() {
	srv := grpc.NewServer()
	err := core.Run(func(u *core.Upgrader) error {
		web, err := u.Listen(context.Background(), "tcp", ":8080")
		if err != nil {
			return err
		}
		if err := u.Attach(&http.Server{Handler: http.NotFoundHandler()}, web); err != nil {
			return err
		}
		ln, err := u.Listen(context.Background(), "tcp", ":9090")
		if err != nil {
			return err
		}
		return grpcx.Attach(u, srv, ln)
	})
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleStreamInterceptor() {
	grpc.NewServer(grpc.ChainStreamInterceptor(grpcx.StreamInterceptor /* then your own */))
	// Output:
}

func ExampleReadiness() {
	srv := grpc.NewServer()
	health := grpcx.Readiness(srv)
	health.SetServingStatus("shop.Orders", grpc_health_v1.HealthCheckResponse_NOT_SERVING) // its database is away
	// Output:
}
