// go.work does not name this module, as it does not name internal/ordinary. "make clients" tests it.
module github.com/gracex-go/gracex/internal/clients

go 1.25.0

require (
	github.com/gracex-go/gracex v0.1.0
	github.com/gracex-go/gracex/grpcx v0.1.0
	google.golang.org/grpc v1.82.1
	google.golang.org/protobuf v1.36.11
)

require (
	golang.org/x/net v0.57.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.40.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260414002931-afd174a4e478 // indirect
)

replace github.com/gracex-go/gracex => ../../

replace github.com/gracex-go/gracex/grpcx => ../../grpcx
