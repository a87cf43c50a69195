module github.com/gracex-go/gracex/macaronx

go 1.25.0

require (
	github.com/gracex-go/gracex v0.1.0
	gopkg.in/macaron.v1 v1.4.0
)

require (
	github.com/go-macaron/inject v0.0.0-20160627170012-d8a0b8677191 // indirect
	github.com/unknwon/com v0.0.0-20190804042917-757f69c95f3e // indirect
	golang.org/x/crypto v0.54.0 // indirect
	gopkg.in/ini.v1 v1.46.0 // indirect
)

replace github.com/gracex-go/gracex => ..
