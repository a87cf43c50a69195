// Command multiport is a program on endless with two servers, and another import. The first one takes its time.
package main

import (
	"flag"
	"log"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/compat/endless"
)

func main() {
	addr := flag.String("addr", "localhost:4242", "")
	other := flag.String("other", "localhost:4243", "")
	flag.Parse()
	if b, err := os.ReadFile("other"); err == nil { // a test's next version
		*other = string(b)
	}
	hello := http.NewServeMux()
	hello.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("world")) })
	bar := http.NewServeMux()
	bar.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("foo")) })

	w := sync.WaitGroup{}
	w.Add(2)
	go func() {
		time.Sleep(time.Second)
		err := endless.ListenAndServe(*addr, hello)
		if err != nil {
			log.Println(err)
		}
		log.Println("the first server has stopped")
		w.Done()
	}()
	go func() {
		err := endless.ListenAndServe(*other, bar)
		if err != nil {
			log.Println(err)
		}
		log.Println("the second server has stopped")
		w.Done()
	}()
	w.Wait()
	log.Println("all servers have stopped")
	os.Exit(0)
}
