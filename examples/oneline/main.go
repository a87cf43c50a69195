// Command oneline is a Gin program with one line changed, and no option. watched_linux_test.go runs it under
// whatever starts programs and waits for them.
package main

import (
	"fmt"
	"os"

	"github.com/gin-gonic/gin"

	"github.com/gracex-go/gracex/examples/internal/app"
	"github.com/gracex-go/gracex/ginx"
)

func main() {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Any("/", func(c *gin.Context) {
		status, body := app.Echo(c.Writer.Header(), c.Request)
		c.String(status, "%s", body)
	})
	// It was: if err := r.Run(os.Getenv("ADDR")); err != nil {
	if err := ginx.Run(r, os.Getenv("ADDR")); err != nil {
		fmt.Fprintln(os.Stderr, "oneline:", err)
		os.Exit(1)
	}
}
