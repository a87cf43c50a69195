// Command hello is a program on tabalt's gracehttp with another import.
package main

import (
	"flag"
	"fmt"
	"net/http"

	"github.com/gracex-go/gracex/core/compat/gracehttp"
)

func main() {
	addr := flag.String("addr", ":8080", "")
	flag.Parse()
	http.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "hello world")
	})
	err := gracehttp.ListenAndServe(*addr, nil)
	if err != nil {
		fmt.Println(err)
	}
}
