// Command reopen writes its log to a file, and opens it again on SIGUSR1, after logrotate has renamed it.
//
//	go run ./examples/logging/reopen -log app.log -addr 127.0.0.1:8080 -pidfile reopen.pid &
//	mv app.log app.log.1 && kill -USR1 "$(cat reopen.pid)"
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
)

func main() {
	path := flag.String("log", "app.log", "`file` of the log")
	flags := app.Parse(":8080")
	out := &logFile{path: *path}
	if err := out.reopen(); err != nil {
		fmt.Fprintln(os.Stderr, "reopen:", err)
		os.Exit(1)
	}
	logger := slog.New(slog.NewJSONHandler(out, nil))
	opts := append(flags.Options(), core.WithLogger(logger), core.OnReopen(func() {
		if err := out.reopen(); err != nil { // the old file is written to as before
			logger.Error("the log can't be opened again", "error", err)
		}
	}))

	echo := func(w http.ResponseWriter, r *http.Request) {
		status, body := app.Echo(w.Header(), r)
		logger.Info("request", "body", body, "status", status)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
	if err := core.ListenAndServe(flags.Addr, http.HandlerFunc(echo), opts...); err != nil && !errors.Is(err, core.ErrCut) {
		logger.Error("serve", "error", err)
		os.Exit(1)
	}
}

// logFile is a log that can be renamed. Two processes write to it during an upgrade, each line at the end of the file.
type logFile struct {
	path string

	mu   sync.Mutex
	file *os.File
}

func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Write(line)
}

// reopen goes on with the file that is at the path now.
func (l *logFile) reopen() error {
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
	}
	l.file = file
	return nil
}
