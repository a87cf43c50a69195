package overseer_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/compat/overseer"
	"github.com/gracex-go/gracex/core/compat/overseer/fetcher"
)

func ExampleRun() {
	prog := func(state overseer.State) {
		mux := http.NewServeMux()
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "app (%s) says hello\n", state.ID)
		})
		_ = overseer.Serve(state.Listener, mux) // http.Serve works, too
	}
	overseer.Run(overseer.Config{
		Program: prog,
		Address: ":3000",
		Fetcher: &fetcher.HTTP{URL: "https://dl.example.org/shop-linux-amd64.gz", Interval: time.Minute},
		Keys:    []string{"RWTcyZwm..."},
		Options: []core.Option{core.WithPIDFile("/run/shop.pid")},
	})
}

func ExampleRestart() {
	http.HandleFunc("POST /admin/restart", func(http.ResponseWriter, *http.Request) { overseer.Restart() })
}
