//go:build unix

package browser

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/page"
)

// toPlay are the programs that tests start.
var toPlay = []string{"app"}

// play plays an app that shows itself on a port for its operators.
func play(string) int {
	admin := http.NewServeMux()
	admin.Handle("/gracex/", page.Handler(page.Config{
		Source:  page.Own(core.ControlSocket),
		Actions: func(*http.Request) bool { return true },
	}))
	shop := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Pid", fmt.Sprint(os.Getpid()))
		_, _ = io.Copy(w, r.Body)
	})
	version, _ := os.ReadFile("version")
	err := core.ListenAndServe(os.Getenv("APP_ADDR"), shop, core.WithPIDFile("app.pid"), core.WithVersion(string(version)),
		core.WithServerName("public"), core.WithProbation(time.Minute), core.WithReadyTimeout(time.Minute),
		core.AlsoServe(os.Getenv("APP_ADMIN"), admin, core.Named("admin")))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
