//go:build unix

package grpcx_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

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
	Env                      string // a variable for all processes; or empty
	NewTLS                   bool   // grpcx's credentials, else grpc-go's
	TLSHandoff               bool   // their connections move
	ClientCA                 string // a file; empty: clients need no certificate
	Drain, Probation         time.Duration
	MaxStreams               uint32
	Rejects                  bool // it is found bad on its probation
	NoHandoff                bool
	Wraps                    bool // the listener
}

// creds returns the server's credentials; nil for none.
func (s *settings) creds() (credentials.TransportCredentials, error) {
	if s.Cert == "" {
		return nil, nil
	}
	if !s.NewTLS {
		return credentials.NewServerTLSFromFile(s.Cert, s.Key)
	}
	pair, err := tls.LoadX509KeyPair(s.Cert, s.Key)
	conf := &tls.Config{Certificates: []tls.Certificate{pair}}
	if s.ClientCA != "" && err == nil {
		var pem []byte
		pem, err = os.ReadFile(s.ClientCA)
		conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		conf.ClientCAs.AppendCertsFromPEM(pem)
	}
	return hasSocket{grpcx.NewTLS(conf)}, err
}

// hasSocket are credentials whose connections have to give access to their sockets.
type hasSocket struct {
	credentials.TransportCredentials
}

// ServerHandshake shakes hands.
func (c hasSocket) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	nc, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil || raw.LocalAddr() == raw.RemoteAddr() { // of a process to itself
		return nc, info, err
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, nil, fmt.Errorf("%T has no socket", nc)
	}
	rc, err := sc.SyscallConn()
	if err == nil {
		err = rc.Control(func(uintptr) {})
	}
	return nc, info, err
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
	creds, err := s.creds()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if creds != nil {
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
	options := []core.Option{
		core.WithPIDFile(s.PIDFile), core.WithDrainTimeout(s.Drain), core.WithProbation(s.Probation),
		core.WithMaxDraining(100), core.WithConnectionHandoff(!s.NoHandoff), core.WithTLSHandoff(s.TLSHandoff),
		core.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))),
	}
	if s.Wraps {
		err = wrapped(srv, s.Addr, options)
	} else {
		err = grpcx.Serve(srv, s.Addr, options...)
	}
	if err != nil && !errors.Is(err, core.ErrCut) && !errors.Is(err, core.ErrAborted) {
		fmt.Fprintln(os.Stderr, "program:", err)
		return 1
	}
	return 0
}

// wrapped serves on a listener that core does not see.
func wrapped(srv *grpc.Server, addr string, options []core.Option) error {
	ln, err := core.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	return grpcx.ServeListener(srv, struct{ net.Listener }{ln}, options...)
}

// named tells the client by which process it is answered, and what that knows of the connection's TLS.
func named(ctx context.Context, r any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-generation", strconv.Itoa(core.Generation()), "x-tls", secrecy(ctx)))
	return handler(ctx, r)
}

// secrecy is what peer.FromContext says of TLS.
func secrecy(ctx context.Context) string {
	p, _ := peer.FromContext(ctx)
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return "none"
	}
	st := info.State
	said := []any{
		tls.VersionName(st.Version), tls.CipherSuiteName(st.CipherSuite), st.NegotiatedProtocol, st.ServerName,
		st.HandshakeComplete, st.DidResume, info.SecurityLevel, info.SPIFFEID, p.Addr,
		len(st.PeerCertificates), len(st.VerifiedChains),
	}
	for _, chain := range st.VerifiedChains {
		said = append(said, chain[0].Subject, len(chain))
	}
	return fmt.Sprint(said...)
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
