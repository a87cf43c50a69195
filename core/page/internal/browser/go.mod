// The page in Chromium. It is a module of its own because of chromedp, which package page does not need.
module github.com/gracex-go/gracex/core/page/internal/browser

go 1.25.0

require (
	github.com/chromedp/cdproto v0.159.0
	github.com/chromedp/chromedp v0.23.0
	github.com/gracex-go/gracex v0.1.0
)

require github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect

replace github.com/gracex-go/gracex => ../../../..
