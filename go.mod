module github.com/gracex-go/gracex

go 1.25.0
