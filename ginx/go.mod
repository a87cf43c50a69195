module github.com/gracex-go/gracex/ginx

go 1.25.0

require (
	github.com/gin-gonic/gin v1.12.0
	github.com/gracex-go/gracex v0.1.0
)

replace github.com/gracex-go/gracex => ../
