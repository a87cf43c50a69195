//go:build unix

package spec_test

import (
	"encoding/json"
	"net/http"
	"testing"
)

// health is the body of a health check's answer.
type health struct {
	State  string
	Failed []struct{ Check, Error string }
}

// failed is a line for each check that failed.
func (h health) failed() []string {
	var lines []string
	for _, f := range h.Failed {
		lines = append(lines, f.Check+": "+f.Error)
	}
	return lines
}

func getHealth(t *testing.T, c *http.Client, url string) (resp *http.Response, body health) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	text := drain(t, resp)
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		t.Fatalf("%s %q: %v", resp.Status, text, err)
	}
	return resp, body
}

// checkHealth asks and checks status and state.
func checkHealth(t *testing.T, c *http.Client, url string, status int, state string) *http.Response {
	t.Helper()
	resp, body := getHealth(t, c, url)
	if resp.StatusCode != status || body.State != state {
		t.Errorf("%s: %s %q, want %d %q", url, resp.Status, body.State, status, state)
	}
	return resp
}
