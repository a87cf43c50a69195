module github.com/gracex-go/gracex/echox/v5

go 1.25.0

require (
	github.com/gracex-go/gracex v0.1.0
	github.com/labstack/echo/v5 v5.3.1
)

require golang.org/x/time v0.15.0 // indirect

replace github.com/gracex-go/gracex => ../..
