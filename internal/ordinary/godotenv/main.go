// Command godotenv has the settings of its .env in its environment before main runs, by
// github.com/joho/godotenv/autoload. They don't override what is there.
package main

import (
	"fmt"
	"net/http"
	"os"

	_ "github.com/joho/godotenv/autoload"

	"github.com/gracex-go/gracex/internal/ordinary/host"
)

func main() {
	greeting := os.Getenv("GREETING")
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, greeting) })
	host.Serve(&http.Server{Handler: mux})
}
