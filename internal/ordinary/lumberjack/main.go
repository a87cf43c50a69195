// Command lumberjack writes an access log by gopkg.in/natefinch/lumberjack.v2.
package main

import (
	"log"
	"net/http"

	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/gracex-go/gracex/internal/ordinary/host"
)

func main() {
	access := log.New(&lumberjack.Logger{Filename: "access.log", MaxSize: 100}, "", log.LstdFlags)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		access.Println(r.Method, r.URL)
		_, _ = w.Write([]byte("lumberjack\n"))
	})
	host.Serve(&http.Server{Handler: mux})
}
