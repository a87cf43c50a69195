// Shop is the app of the tests. They change the texts of behaviour and build in the file, so that it is built once.
package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
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
	socket := flag.String("socket", "", "")
	probation := flag.Duration("probation", 300*time.Millisecond, "")
	flag.Parse()
	_, does, _ := strings.Cut(strings.Trim(behaviour, "."), ":")
	switch does {
	case "exit":
		fmt.Fprintln(os.Stderr, "this version is bad: it ends at once")
		os.Exit(1)
	case "panic":
		if core.Upgrading() {
			time.AfterFunc(100*time.Millisecond, func() { panic("this version is bad") })
		}
	}
	err := core.ListenAndServe(*addr, http.HandlerFunc(echo), core.WithControlSocket(*socket), core.WithProbation(*probation))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// echo answers as the clients of internal/load want it.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set("X-Pid", strconv.Itoa(os.Getpid()))
	w.Header().Set("X-Generation", strconv.Itoa(core.Generation()))
	w.Header().Set("X-Tag", r.Header.Get("X-Tag"))
	w.Header().Set("X-Build", build)
	_, _ = w.Write(body)
}
