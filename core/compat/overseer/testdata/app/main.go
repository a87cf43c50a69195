// Command app is a program on overseer with other imports. What it does beside is in the last line of its own file, so
// that a test has versions of it without building them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/compat/overseer"
	"github.com/gracex-go/gracex/core/compat/overseer/fetcher"
)

var (
	addr      = flag.String("addr", "", "")
	other     = flag.String("other", "", "")
	file      = flag.String("file", "", "")
	url       = flag.String("http", "", "")
	key       = flag.String("key", "", "")
	unsigned  = flag.Bool("unsigned", false, "")
	veto      = flag.Bool("veto", false, "")
	noRestart = flag.Bool("norestart", false, "")
	waits     = flag.Bool("waits", false, "")
	moves     = flag.Bool("moves", false, "")
	returns   = flag.Bool("returns", false, "")
	required  = flag.Bool("required", false, "")
	terminate = flag.Duration("terminate", time.Minute, "")
)

// build is this version, and what is wrong with it.
func build() (id, wrong string) {
	b, _ := os.ReadFile("/proc/self/exe")
	words := strings.Fields(string(b[len(b)-32:]))
	return words[len(words)-2], words[len(words)-1]
}

func prog(state overseer.State) {
	id, wrong := build()
	fmt.Printf("app#%s (%s) listening... enabled=%v\n", id, state.ID, state.Enabled)
	if wrong == "exits" {
		fmt.Fprintln(os.Stderr, "no database")
		os.Exit(3)
	}
	if *returns || !state.Enabled {
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		d, _ := time.ParseDuration(r.URL.Query().Get("d"))
		time.Sleep(d)
		fmt.Fprintf(w, "app#%s (%s) says hello from %s\n", id, state.ID, state.BinPath)
	})
	mux.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	mux.HandleFunc("/restart", func(http.ResponseWriter, *http.Request) { overseer.Restart() })
	if wrong == "panics" {
		time.AfterFunc(100*time.Millisecond, func() { panic("it is too late") })
	}
	for _, l := range state.Listeners[1:] {
		go http.Serve(l, mux)
	}
	if *moves {
		overseer.Serve(state.Listener, mux)
	} else {
		http.Serve(state.Listener, mux)
	}
	select {
	case <-state.GracefulShutdown:
	default:
		fmt.Println("it does not shut down gracefully")
	}
	time.Sleep(50 * time.Millisecond) // what a program has to do at its end
	fmt.Printf("app#%s (%s) exiting...\n", id, state.ID)
}

func main() {
	flag.Parse()
	c := overseer.Config{
		Program: prog, Address: *addr, TerminateTimeout: *terminate, MinFetchInterval: 10 * time.Millisecond,
		Required: *required, NoRestart: *noRestart, NoRestartAfterFetch: *waits, Unsigned: *unsigned,
		Options: []core.Option{core.WithProbation(300 * time.Millisecond)},
	}
	if *other != "" {
		c.Address, c.Addresses = "", []string{*addr, *other}
	}
	if *file != "" {
		c.Fetcher = &fetcher.File{Path: *file}
	}
	if *url != "" {
		c.Fetcher = &fetcher.HTTP{URL: *url, Interval: 10 * time.Millisecond}
	}
	if *key != "" {
		c.Keys = []string{*key}
	}
	if *veto {
		c.PreUpgrade = func(path string) error {
			if fi, err := os.Stat(path); err != nil || fi.Mode().Perm()&0o100 == 0 {
				return errors.New("it can't be executed")
			}
			return errors.New("not today")
		}
	}
	overseer.Run(c)
}
