// Command httptrace asks another server for each request, with a net/http/httptrace of its own, and answers what the
// trace has seen.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"slices"
	"sync"

	"github.com/gracex-go/gracex/internal/ordinary/host"
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		seen, err := ask(r.Context(), "http://"+os.Getenv(host.EnvBackend)+"/")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprintln(w, seen)
	})
	host.Serve(&http.Server{Handler: mux})
}

// ask uses a connection for one request, so that the trace is the same each time.
func ask(ctx context.Context, url string) (string, error) {
	var mu sync.Mutex
	var seen []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, what)
	}
	trace := &httptrace.ClientTrace{
		GetConn:              func(string) { note("get") },
		ConnectStart:         func(string, string) { note("connect") },
		ConnectDone:          func(_, _ string, err error) { note(fmt.Sprint("connected ", err)) },
		GotConn:              func(i httptrace.GotConnInfo) { note(fmt.Sprint("got ", i.Reused)) },
		WroteRequest:         func(i httptrace.WroteRequestInfo) { note(fmt.Sprint("wrote ", i.Err)) },
		GotFirstResponseByte: func() { note("answer") },
	}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(seen) // the answer's first byte can come before the request is said to be written
	return fmt.Sprintf("%q %s", seen, b), err
}
