//go:build unix

// Command plain is the usual recipe for restarting a Go web server: start the
// same program again with -graceful and the listener as descriptor 3, have it
// send SIGTERM to its parent, and let http.Server.Shutdown end the parent. It
// speaks the plain protocol of the programs that gracex replaces and is
// replaced by, and knows nothing of gracex.
//
// It is written the way people write it, with the faults that come with it:
// exec.Cmd.ExtraFiles makes the shared listener blocking for a moment, and
// Shutdown cuts off requests that are on their way. The tests and the demo
// compare with exactly that.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

var (
	addr     = flag.String("addr", ":8080", "address to listen on")
	graceful = flag.Bool("graceful", false, "take the listener from descriptor 3 and end the parent")
	drain    = flag.Duration("drain", 30*time.Second, "how long Shutdown may take")
	pidfile  = flag.String("pidfile", "", "file to write the process id to")
)

func main() {
	flag.Parse()
	log.SetFlags(0)
	log.SetPrefix("plain: ")
	// Asked once, now: if it has changed by the time that we serve, the parent
	// is gone and its number may be somebody else's.
	parent := os.Getppid()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR2, syscall.SIGTERM)

	ln, err := listen()
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(echo)}
	go func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	if *pidfile != "" {
		if err := writePID(*pidfile); err != nil {
			log.Fatal(err)
		}
	}
	if *graceful && parent > 1 && os.Getppid() == parent {
		if err := syscall.Kill(parent, syscall.SIGTERM); err != nil {
			log.Fatal("end the parent: ", err)
		}
	}
	for sig := range signals {
		if sig == syscall.SIGTERM {
			break
		}
		if err := start(ln); err != nil {
			log.Print("start the next process: ", err)
		}
	}
	shutdown(srv)
}

func listen() (net.Listener, error) {
	if !*graceful {
		return net.Listen("tcp", *addr)
	}
	file := os.NewFile(3, "listener")
	defer file.Close()
	return net.FileListener(file)
}

func start(ln net.Listener) error {
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
	if err := cmd.Start(); err != nil {
		return err
	}
	go cmd.Wait()
	return nil
}

// shutdown ends by the deadline even if Shutdown does not: its Close of the
// listener waits for an Accept that ExtraFiles has made blocking.
func shutdown(srv *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), *drain)
	go func() {
		defer cancel()
		srv.Shutdown(ctx)
	}()
	<-ctx.Done()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		log.Print("requests left after ", *drain)
	}
}

// echo answers as the example programs do. It reads the body to its end before
// it writes, because net/http throws away what is unread when the answer
// begins.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("X-Pid", strconv.Itoa(os.Getpid()))
	w.Header().Set("X-Generation", "0") // it does not count them
	w.Write(body)
}

// writePID replaces the file in one step, so that a reader never finds it
// empty. It stays behind at the end.
func writePID(path string) error {
	temp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(temp, fmt.Appendln(nil, os.Getpid()), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
