package wsmove_test

import (
	"bufio"
	"errors"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/wsmove"
)

// upgrade stands for the one of a WebSocket library.
func upgrade(w http.ResponseWriter, _ *http.Request) (net.Conn, *bufio.ReadWriter, error) {
	return w.(http.Hijacker).Hijack()
}

// Each client gets a number every second. In the new process the numbers go on.
func Example() {
	mux := http.NewServeMux()
	mux.HandleFunc("/numbers", func(w http.ResponseWriter, r *http.Request) {
		s := wsmove.Move(r)
		c, rw, err := upgrade(w, r)
		if err != nil {
			return
		}
		defer c.Close()
		next, _ := strconv.Atoi(string(s.State()))
		s.OnMove(func() []byte { return []byte(strconv.Itoa(next)) })
		for ; ; next++ {
			_, _ = rw.WriteString(strconv.Itoa(next))
			if err := rw.Flush(); err != nil {
				if !errors.Is(err, wsmove.ErrMoving) {
					log.Print(err)
				}
				return
			}
			time.Sleep(time.Second)
		}
	})
	log.Print(core.ListenAndServe(":8080", wsmove.Handler("numbers", mux)))
}

// A protocol whose client logs in by a message can't move. Its clients are told to reconnect.
func ExampleLeave() {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wsmove.Leave(r)
		c, _, err := upgrade(w, r)
		if err != nil {
			return
		}
		defer c.Close()
		// ...
	})
	log.Print(core.ListenAndServe(":8080", wsmove.Handler("graphql", h, wsmove.WithSpread(3*time.Second))))
}

// A login whose token holds for a minute is checked once. Its user goes along.
func ExampleSession_Moved() {
	userOf := func(token string) string { return token }
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := wsmove.Move(r)
		user := string(s.State())
		if !s.Moved() {
			user = userOf(r.URL.Query().Get("token"))
		}
		if user == "" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		s.OnMove(func() []byte { return []byte(user) })
		// ...
	})
	log.Print(core.ListenAndServe(":8080", wsmove.Handler("room", h)))
}
