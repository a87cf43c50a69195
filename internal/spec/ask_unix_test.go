//go:build unix

package spec_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// post returns nil, and has said why, if there is no answer. net/http can't send
// such a body twice, so the client never retries.
func post(t *testing.T, c *http.Client, url string, body io.Reader) *http.Response {
	t.Helper()
	resp, err := c.Post(url, "text/plain", io.MultiReader(body))
	if err != nil {
		t.Error(err)
		return nil
	}
	return resp
}

// hold sends a request that the current generation answers when it drains, and
// returns when it has come in.
func (s *server) hold(c *http.Client, url string) <-chan *http.Response {
	s.t.Helper()
	held := make(chan *http.Response, 1)
	s.holding.Go(func() { held <- post(s.t, c, url+"/held", strings.NewReader("held")) })
	s.awaitHere("held")
	return held
}

// expect checks that s's current generation has answered.
func expect(t *testing.T, s *server, resp *http.Response, proto, body string) {
	t.Helper()
	if resp == nil {
		return // post has said why
	}
	got := drain(t, resp)
	if resp.StatusCode != http.StatusOK || got != body {
		t.Errorf("answer %s %q, want %q", resp.Status, got, body)
	}
	if resp.Proto != proto || resp.Header.Get("X-Proto") != proto {
		t.Errorf("answered as %s, seen as %s, want %s", resp.Proto, resp.Header.Get("X-Proto"), proto)
	}
	if pid, gen := resp.Header.Get("X-Pid"), resp.Header.Get("X-Generation"); pid != strconv.Itoa(s.pid) || gen != strconv.Itoa(s.gen) {
		t.Errorf("pid %s, generation %s answered; want %d, %d", pid, gen, s.pid, s.gen)
	}
}
