// Command shop is a service with the usual parts: Gin with templates, a port for metrics and one for profiles,
// SQLite, a job of robfig/cron, and a stream of events. gracex-shop.service is its unit of systemd, and a test of
// examples/systemd deploys it again and again (make deploys).
package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	_ "net/http/pprof" // for the port that serves http.DefaultServeMux
	"os"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/ginx"
)

func main() {
	addr := flag.String("addr", ":8080", "`address` of the shop")
	metrics := flag.String("metrics", ":9090", "`address` for Prometheus")
	profiles := flag.String("pprof", "127.0.0.1:6060", "`address` for go tool pprof")
	database := flag.String("db", "shop.db", "SQLite `file`, which is the same for all releases")
	control := flag.String("control", "", "`path` of the control socket")
	probation := flag.Duration("probation", core.DefaultProbation, "how long the old process can take the service back")
	flag.Parse()

	st, err := openStore(*database)
	if err != nil {
		exit(err)
	}
	err = ginx.Run(router(st, os.Getenv("GREETING")), *addr,
		core.AlsoServe(*metrics, promhttp.Handler(), core.Named("metrics")),
		core.AlsoServe(*profiles, http.DefaultServeMux, core.Named("pprof")),
		core.WhileCurrent(schedule(st)),
		core.OnEnd(st.close),
		core.WithControlSocket(*control),
		core.WithProbation(*probation),
		core.WithLogger(slog.Default()),
	)
	if err != nil && !errors.Is(err, core.ErrCut) {
		exit(err)
	}
}

func exit(err error) {
	fmt.Fprintln(os.Stderr, "shop:", err)
	os.Exit(1)
}
