module github.com/gracex-go/gracex/cmd/gracex

go 1.25.0

require (
	github.com/gracex-go/gracex v0.1.0
	github.com/spf13/cobra v1.10.1
	golang.org/x/term v0.45.0
)

require (
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
	golang.org/x/sys v0.47.0 // indirect
)
