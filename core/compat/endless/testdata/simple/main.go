// Command simple is a program on endless with another import.
package main

import (
	"flag"
	"log"
	"net/http"
	"os"

	"github.com/gracex-go/gracex/core/compat/endless"
)

func main() {
	addr := flag.String("addr", "localhost:4242", "")
	secure := flag.Bool("tls", false, "")
	flag.Parse()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("world"))
	})
	serve := endless.ListenAndServe
	if *secure {
		serve = func(addr string, handler http.Handler) error {
			return endless.ListenAndServeTLS(addr, "cert.pem", "key.pem", handler)
		}
	}
	err := serve(*addr, mux)
	if err != nil {
		log.Println(err)
	}
	log.Println("the server has stopped")
	os.Exit(0)
}
