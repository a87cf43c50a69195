// Shop is the app of the tests. They change the texts of behaviour and build in the file, so that it is built once.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core"
)

var (
	behaviour = "gracex-test-behaviour:good....."
	build     = "gracex-test-build:0000"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "")
	pid := flag.String("pid-file", "", "")
	probation := flag.Duration("probation", 300*time.Millisecond, "")
	check := flag.Bool("check-config", false, "")
	flag.Parse()
	_, does, _ := strings.Cut(strings.Trim(behaviour, "."), ":")
	if *check {
		fmt.Println("config of", build, "as", os.Getuid())
		if does == "badconf" {
			os.Exit(3)
		}
		return
	}
	switch does {
	case "exit":
		fmt.Fprintln(os.Stderr, "this version is bad: it ends at once")
		os.Exit(1)
	case "panic":
		if core.Generation() > 0 {
			time.AfterFunc(100*time.Millisecond, func() { panic("this version is bad") })
		}
	}
	err := core.ListenAndServe(*addr, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, build, os.Getpid())
	}), core.WithPIDFile(*pid), core.WithProbation(*probation))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
