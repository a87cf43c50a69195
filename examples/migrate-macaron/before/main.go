//go:build unix

// Command before is a Macaron program that restarts itself, as many have one: a type
// SelfMacaron with a Run method of its own, and a flag -graceful. On SIGHUP it starts
// its binary again with -graceful and the listener as descriptor 3. The new process
// serves from that and sends SIGTERM to the old one, which shuts down.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"gopkg.in/macaron.v1"
)

var (
	host    = flag.String("host", "0.0.0.0", "`address` to listen on")
	port    = flag.Int("port", 4000, "`number` of the port to listen on")
	pidfile = flag.String("pidfile", "app.pid", "`file` for the process number")
)

var graceful = flag.Bool("graceful", false, "take over from the process that starts this one")

// SelfMacaron is a Macaron that restarts itself.
type SelfMacaron struct {
	*macaron.Macaron
}

// Run serves until SIGTERM.
func (m *SelfMacaron) Run(host string, port int) {
	ln, err := listen(net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		log.Fatal(err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM)
	srv := &http.Server{Handler: m}
	go func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	if err := os.WriteFile(*pidfile, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		log.Fatal(err)
	}
	if *graceful {
		if err := syscall.Kill(os.Getppid(), syscall.SIGTERM); err != nil {
			log.Print("the old process: ", err)
		}
	}
	for sig := range signals {
		if sig == syscall.SIGTERM {
			break
		}
		if err := restart(ln); err != nil {
			log.Print("restart: ", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		log.Print("shutdown: ", err)
	}
	log.Printf("process %d has stopped", os.Getpid())
}

func listen(addr string) (net.Listener, error) {
	if *graceful {
		return net.FileListener(os.NewFile(3, "listener"))
	}
	return net.Listen("tcp", addr)
}

func restart(ln net.Listener) error {
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer file.Close()
	args := os.Args[1:]
	if !*graceful {
		args = append([]string{"-graceful"}, args...)
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{file}
	return cmd.Start()
}

func main() {
	flag.Parse()
	m := &SelfMacaron{Macaron: macaron.New()}
	m.Use(macaron.Recovery())
	m.Get("/", echo)
	m.Post("/", echo)
	m.Run(*host, *port)
}

func echo(ctx *macaron.Context) (status int, answer string) {
	ctx.Resp.Header().Set("X-Pid", strconv.Itoa(os.Getpid()))
	body, err := ctx.Req.Body().String()
	if err != nil {
		return http.StatusBadRequest, err.Error()
	}
	return http.StatusOK, body
}
