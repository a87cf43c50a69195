module github.com/gracex-go/gracex/release

go 1.25.0

require github.com/gracex-go/gracex v0.1.0

replace github.com/gracex-go/gracex => ../
