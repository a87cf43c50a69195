package grpcx

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/gracex-go/gracex/core"
)

// stopSeen is how long it takes at most until a health check hears that the process stops.
const stopSeen = 250 * time.Millisecond

// Readiness registers gRPC's health service (grpc.health.v1.Health) with srv, and returns it: the program says there how
// its services are, by SetServingStatus. Call it before srv is served.
//
// The answer is NOT_SERVING for all services from the moment in which the process is asked to stop. With
// core.WithPreStopDelay it accepts for a while after that, so that a load balancer, or a client that watches, has time
// to see it and goes elsewhere.
//
// In an upgrade it stays SERVING, in both processes: the service goes on. A client that watches its health would
// otherwise take its only server for lost, and fail calls, although GOAWAY is about to lead it to the new process. So it is
// in a new process that is rolled back.
func Readiness(srv *grpc.Server) *health.Server {
	h := health.NewServer()
	grpc_health_v1.RegisterHealthServer(srv, h)
	sharedOf(srv).health.Store(h)
	return h
}

// follow has h say that the process stops.
func follow(u *core.Upgrader, h *health.Server) {
	tick := time.NewTicker(stopSeen)
	defer tick.Stop()
	for u.State() != core.StateStopping {
		select {
		case <-tick.C:
		case <-u.Done():
			return
		}
	}
	h.Shutdown()
}
