// Command viper reads its settings by github.com/spf13/viper: from a file that it watches, and from its environment.
package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/viper"

	"github.com/gracex-go/gracex/internal/ordinary/host"
)

func main() {
	viper.SetConfigFile("config.yaml")
	viper.SetEnvPrefix("ordinary")
	viper.AutomaticEnv()
	if err := viper.ReadInConfig(); err != nil {
		host.End(err)
	}
	viper.WatchConfig()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, viper.GetString("greeting"), viper.GetString("name"))
	})
	host.Serve(&http.Server{Handler: mux})
}
