module github.com/gracex-go/gracex/core/compat/overseer

go 1.25.0

require (
	aead.dev/minisign v0.3.0
	github.com/gracex-go/gracex v0.1.0
	github.com/gracex-go/gracex/release v0.1.0
)

require (
	github.com/google/renameio/v2 v2.0.2 // indirect
	github.com/klauspost/compress v1.20.4 // indirect
	golang.org/x/crypto v0.54.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

replace github.com/gracex-go/gracex => ../../..

replace github.com/gracex-go/gracex/release => ../../../release
