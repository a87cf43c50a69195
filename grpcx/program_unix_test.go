//go:build unix

package grpcx_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/grpcx"
	"github.com/gracex-go/gracex/internal/proctest"
)

const (
	envProgram  = "GRPCX_TEST_PROGRAM"
	envSettings = "GRPCX_TEST_SETTINGS" // a file, which each process reads: see settings
)

func TestMain(m *testing.M) {
	proctest.Play(envProgram, func(string) int { return server() })
	os.Exit(proctest.Main(m, "server"))
}

// settings are those of the program.
type settings struct {
	Addr, PIDFile, Cert, Key string
	Drain, Probation         time.Duration
	MaxStreams               uint32
	Rejects                  bool // it is found bad on its probation
	NoHandoff                bool
}

// server is the program.
func server() int {
	s := new(settings)
	if b, err := os.ReadFile(os.Getenv(envSettings)); err != nil || json.Unmarshal(b, s) != nil {
		fmt.Fprintln(os.Stderr, "no settings:", err)
		return 2
	}
	opts := []grpc.ServerOption{grpc.ChainStreamInterceptor(grpcx.StreamInterceptor), grpc.ChainUnaryInterceptor(named)}
	if s.MaxStreams > 0 {
		opts = append(opts, grpc.MaxConcurrentStreams(s.MaxStreams))
	}
	if s.Cert != "" {
		creds, err := credentials.NewServerTLSFromFile(s.Cert, s.Key)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		opts = append(opts, grpc.Creds(creds))
	}
	srv := grpc.NewServer(opts...)
	grpc_testing.RegisterTestServiceServer(srv, service{})
	if s.Rejects {
		go func() {
			for core.Status().State < core.StateCurrent {
				time.Sleep(time.Millisecond)
			}
			_ = core.Reject(errors.New("it is a test"))
		}()
	}
	err := grpcx.Serve(srv, s.Addr, core.WithPIDFile(s.PIDFile), core.WithDrainTimeout(s.Drain), core.WithProbation(s.Probation),
		core.WithMaxDraining(100), core.WithConnectionHandoff(!s.NoHandoff),
		core.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	if err != nil && !errors.Is(err, core.ErrCut) && !errors.Is(err, core.ErrAborted) {
		fmt.Fprintln(os.Stderr, "program:", err)
		return 1
	}
	return 0
}

// who are the headers by which this process is known.
func who() metadata.MD { return metadata.Pairs("x-generation", strconv.Itoa(core.Generation())) }

func named(ctx context.Context, r any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	_ = grpc.SetHeader(ctx, who())
	return handler(ctx, r)
}

// service is that of gRPC's interoperability tests.
type service struct {
	grpc_testing.UnimplementedTestServiceServer
}

// UnaryCall answers with as many bytes as it is asked for.
func (service) UnaryCall(_ context.Context, r *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	return &grpc_testing.SimpleResponse{Payload: &grpc_testing.Payload{Body: make([]byte, r.GetResponseSize())}}, nil
}

// StreamingInputCall answers with the number of bytes that it was sent.
func (service) StreamingInputCall(stream grpc_testing.TestService_StreamingInputCallServer) error {
	sum := 0
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&grpc_testing.StreamingInputCallResponse{AggregatedPayloadSize: int32(sum)})
		}
		if err != nil {
			return err
		}
		sum += len(r.GetPayload().GetBody())
	}
}

// StreamingOutputCall sends what it is asked for.
func (service) StreamingOutputCall(r *grpc_testing.StreamingOutputCallRequest, stream grpc_testing.TestService_StreamingOutputCallServer) error {
	return send(r, stream)
}

// FullDuplexCall sends what it is asked for, each time.
func (service) FullDuplexCall(stream grpc_testing.TestService_FullDuplexCallServer) error {
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = send(r, stream)
		}
		if err != nil {
			return err
		}
	}
}

func send(r *grpc_testing.StreamingOutputCallRequest, stream grpc.ServerStreamingServer[grpc_testing.StreamingOutputCallResponse]) error {
	for _, p := range r.GetResponseParameters() {
		m := &grpc_testing.StreamingOutputCallResponse{Payload: &grpc_testing.Payload{Body: make([]byte, p.GetSize())}}
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return nil
}
