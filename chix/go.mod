module github.com/gracex-go/gracex/chix

go 1.25.0

require (
	github.com/go-chi/chi/v5 v5.5.0
	github.com/gracex-go/gracex v0.1.0
)

replace github.com/gracex-go/gracex => ..
