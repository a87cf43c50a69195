module github.com/gracex-go/gracex/release/ocisource

go 1.25.0

require (
	github.com/gracex-go/gracex/release v0.1.0
	oras.land/oras-go/v2 v2.6.2
)

require github.com/gracex-go/gracex v0.1.0

replace github.com/gracex-go/gracex => ../..

replace github.com/gracex-go/gracex/release => ../
