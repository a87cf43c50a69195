// Command deploy is a server for the recipes in this directory. They deploy it in releases, by "gracex deploy". README.md
// says which file is for what.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"strconv"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
)

func main() {
	operator := flag.String("operator", "", "`user` that may deploy, beside root and the service's own")
	flags := app.Parse(":8080")
	opts := flags.Options()
	if *operator != "" {
		uid, err := number(*operator)
		if err != nil {
			fmt.Fprintln(os.Stderr, "shop:", err)
			os.Exit(1)
		}
		opts = append(opts, core.WithOperators(uid))
	}
	if err := core.ListenAndServe(flags.Addr, http.HandlerFunc(echo), opts...); err != nil && !errors.Is(err, core.ErrCut) {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

// number is that of a user.
func number(name string) (int, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(u.Uid)
}

func echo(w http.ResponseWriter, r *http.Request) {
	status, body := app.Echo(w.Header(), r)
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}
