// Command cobra has its server behind a command of github.com/spf13/cobra, with a flag.
package main

import (
	"net/http"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/internal/ordinary/host"
)

func main() {
	var greeting string
	serve := &cobra.Command{
		Use: "serve", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			mux := http.NewServeMux()
			mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(greeting + "\n")) })
			host.Serve(&http.Server{Handler: mux})
			return nil
		},
	}
	serve.Flags().StringVar(&greeting, "greeting", "", "what it answers")
	root := &cobra.Command{Use: "cobra"}
	root.AddCommand(serve)
	host.End(root.Execute())
}
