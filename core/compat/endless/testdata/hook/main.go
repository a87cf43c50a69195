// Command hook is a program on endless with hooks of signals, and another import.
package main

import (
	"flag"
	"log"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/compat/endless"
)

func preSigUsr1() { log.Println("before SIGUSR1") }

func postSigUsr1() { log.Println("after SIGUSR1") }

func main() {
	addr := flag.String("addr", "localhost:4242", "")
	hammer := flag.Duration("hammer", 60*time.Second, "")
	flag.Parse()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		d, _ := time.ParseDuration(r.FormValue("d"))
		time.Sleep(d)
		w.Write([]byte("world"))
	})
	endless.DefaultHammerTime = *hammer
	srv := endless.NewServer(*addr, mux)
	srv.ReadHeaderTimeout = 10 * time.Second
	srv.SignalHooks[endless.PRE_SIGNAL][syscall.SIGUSR1] = append(
		srv.SignalHooks[endless.PRE_SIGNAL][syscall.SIGUSR1],
		preSigUsr1)
	srv.SignalHooks[endless.POST_SIGNAL][syscall.SIGUSR1] = append(
		srv.SignalHooks[endless.POST_SIGNAL][syscall.SIGUSR1],
		postSigUsr1)
	if err := srv.RegisterSignalHook(endless.PRE_SIGNAL, syscall.SIGHUP, func() { log.Println("before SIGHUP") }); err != nil {
		log.Println(err)
	}
	srv.BeforeBegin = func(add string) { log.Printf("begin on %s", add) }

	err := srv.ListenAndServe()
	if err != nil {
		log.Println(err)
	}
	log.Println("the server has stopped")
	os.Exit(0)
}
