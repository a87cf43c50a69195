// Command demo is a program on facebookgo's gracehttp, with several servers, and another import.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/gracex-go/gracex/core/compat/grace/gracehttp"
)

var (
	address0 = flag.String("addr", ":48567", "address of the first server")
	address1 = flag.String("other", ":48568", "address of the second server")
)

func main() {
	flag.Parse()
	gracehttp.SetLogger(log.New(os.Stderr, "demo ", log.LstdFlags))
	err := gracehttp.ServeWithOptions(
		[]*http.Server{
			{Addr: *address0, Handler: newHandler("zero")},
			{Addr: *address1, Handler: newHandler("first")},
		},
		gracehttp.PreStartProcess(func() error {
			log.Println("a new process is about to be started")
			return nil
		}),
	)
	if err != nil {
		log.Fatalln(err)
	}
}

func newHandler(name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%s is answered by %d", name, os.Getpid())
	})
	return mux
}
