package fetch

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

var first atomic.Bool

// TestNewTransport_TakesTheProxyOfTheEnvironment is the first one in this process that asks for it: net/http reads the
// environment once.
func TestNewTransport_TakesTheProxyOfTheEnvironment(t *testing.T) { //nolint:paralleltest // it sets the environment
	if !first.CompareAndSwap(false, true) {
		t.Skip("net/http has read the environment in this process already")
	}
	asked := ""
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked += r.RequestURI + " " + r.Header.Get("Proxy-Authorization")
	}))
	t.Setenv("HTTP_PROXY", strings.Replace(proxy.URL, "//", "//me:s3cret@", 1))
	t.Setenv("NO_PROXY", "")
	client := &http.Client{Transport: &Transport{Base: NewTransport()}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://origin.example/shop")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if asked != "http://origin.example/shop Basic bWU6czNjcmV0" {
		t.Errorf("the proxy was asked for %q", asked)
	}
	proxy.Close()
	client.CloseIdleConnections()
	if resp, err = client.Get("http://origin.example/shop"); err == nil {
		resp.Body.Close()
		t.Fatal("an answer without the proxy")
	}
	if got := Explain(err).Error(); !strings.Contains(got, "proxyconnect") || strings.Contains(got, "s3cret") {
		t.Error(got)
	}
}
