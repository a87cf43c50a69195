module github.com/gracex-go/gracex/core/internal/h2/xnet

go 1.25.0

require (
	github.com/gracex-go/gracex v0.1.0
	golang.org/x/net v0.57.0
)

require golang.org/x/text v0.40.0 // indirect

replace github.com/gracex-go/gracex => ../../../..
