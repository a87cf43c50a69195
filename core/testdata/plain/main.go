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
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
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
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "plain:", err)
		os.Exit(1)
	}
}

func run() error {
	// Asked once, now: if it has changed by the time that we serve, the parent
	// is gone and its number may be somebody else's.
	parent := os.Getppid()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR2, syscall.SIGTERM)

	ln, err := listen()
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: http.HandlerFunc(echo)}
	serving := make(chan error, 1)
	go func() { serving <- srv.Serve(ln) }()

	if *pidfile != "" {
		if err := writePID(*pidfile); err != nil {
			return err
		}
	}
	if *graceful && parent > 1 && os.Getppid() == parent {
		if err := syscall.Kill(parent, syscall.SIGTERM); err != nil {
			return fmt.Errorf("end the parent %d: %w", parent, err)
		}
	}
	return wait(signals, serving, srv, ln)
}

// wait serves until SIGTERM, and starts a next process on SIGHUP and SIGUSR2.
func wait(signals <-chan os.Signal, serving <-chan error, srv *http.Server, ln *net.TCPListener) error {
	var gone chan error // the next process's end; nil when there is none
	for {
		select {
		case err := <-serving:
			return err
		case err := <-gone:
			fmt.Fprintln(os.Stderr, "plain: next process ended:", err)
			gone = nil
		case sig := <-signals:
			switch {
			case sig == syscall.SIGTERM:
				return shutdown(srv)
			case gone != nil:
				fmt.Fprintln(os.Stderr, "plain: a next process is already there")
				continue
			}
			cmd, err := start(ln)
			if err != nil {
				fmt.Fprintln(os.Stderr, "plain: start the next process:", err)
				continue
			}
			gone = make(chan error, 1)
			go func() { gone <- cmd.Wait() }()
		}
	}
}

func listen() (*net.TCPListener, error) {
	if !*graceful {
		ln, err := net.Listen("tcp", *addr)
		if err != nil {
			return nil, err
		}
		return ln.(*net.TCPListener), nil
	}
	file := os.NewFile(3, "listener")
	defer file.Close()
	ln, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("descriptor 3 is no listener: %w", err)
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("descriptor 3 listens on %s, not on tcp", ln.Addr().Network())
	}
	return tcp, nil
}

func start(ln *net.TCPListener) (*exec.Cmd, error) {
	file, err := ln.File()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	args := os.Args[1:]
	if !*graceful {
		args = append([]string{"-graceful"}, args...)
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{file}
	return cmd, cmd.Start()
}

// shutdown ends by the deadline even if Shutdown does not: its Close of the
// listener waits for an Accept that ExtraFiles has made blocking.
func shutdown(srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), *drain)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- srv.Shutdown(ctx) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		fmt.Fprintln(os.Stderr, "plain: requests left after", *drain)
		return nil
	}
	return err
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
	if d := r.URL.Query().Get("d"); d != "" {
		pause, err := time.ParseDuration(d)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		time.Sleep(pause)
	}
	w.Header().Set("X-Program", "plain")
	w.Header().Set("X-Pid", strconv.Itoa(os.Getpid()))
	w.Header().Set("X-Generation", "0") // it does not count them
	w.Write(body)
}

// writePID replaces the file in one step, so that a reader never finds it
// empty. It stays behind at the end.
func writePID(path string) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".plain-*")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(temp, os.Getpid())
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
	}
	return err
}
