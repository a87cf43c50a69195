// Shop is the app of the tests. They change the texts of behaviour and build in the file, so that it is built once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/release"
)

var (
	behaviour = "gracex-test-behaviour:good....."
	build     = "gracex-test-build:0000"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "")
	pid := flag.String("pid-file", "", "")
	socket := flag.String("socket", "", "a control socket; left out, that of the pid file")
	probation := flag.Duration("probation", 300*time.Millisecond, "")
	ready := flag.Duration("ready", core.DefaultReadyTimeout, "")
	veto := flag.String("veto", "", "a file that refuses upgrades, in its words")
	operator := flag.Int("operator", 0, "a user who can use the control socket, too")
	follow := flag.String("follow", "", "a folder with releases")
	key := flag.String("key", "", "with which they are signed")
	check := flag.Bool("check-config", false, "")
	flag.Parse()
	_, does, _ := strings.Cut(strings.Trim(behaviour, "."), ":")
	if *check {
		fmt.Println("config of", build, "as", os.Getuid())
		if does == "badconf" {
			os.Exit(3)
		}
		return
	}
	options := []core.Option{
		core.WithProbation(*probation), core.WithReadyTimeout(*ready),
		core.OnPreFork(func(context.Context) error {
			if why, err := os.ReadFile(*veto); err == nil {
				return errors.New(string(why))
			}
			return nil
		}),
	}
	if *pid != "" {
		options = append(options, core.WithPIDFile(*pid))
	}
	if *operator != 0 {
		options = append(options, core.WithOperators(*operator))
	}
	if *socket != "" {
		options = append(options, core.WithControlSocket(*socket))
	}
	if *follow != "" {
		options = append(options, release.Follow(release.Dir(*follow), release.Trust{Name: "shop", Keys: []string{*key}},
			release.FollowOptions{Every: 100 * time.Millisecond}))
	}
	switch does {
	case "exit":
		fmt.Fprintln(os.Stderr, "this version is bad: it ends at once")
		os.Exit(1)
	case "panic":
		go func() {
			for core.Status().State != core.StateCurrent { // on probation, or started anew
				time.Sleep(time.Millisecond)
			}
			panic("this version is bad")
		}()
	case "late":
		time.Sleep(time.Hour)
	}
	if err := core.ListenAndServe(*addr, http.HandlerFunc(answer), options...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// answer is for the clients of internal/load.
func answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set("X-Pid", strconv.Itoa(os.Getpid()))
	w.Header().Set("X-Generation", strconv.Itoa(core.Generation()))
	w.Header().Set("X-Tag", r.Header.Get("X-Tag"))
	w.Header().Set("X-Build", build)
	if len(body) == 0 {
		body = fmt.Appendln(nil, build)
	}
	_, _ = w.Write(body)
}
