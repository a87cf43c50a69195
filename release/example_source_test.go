package release_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/gracex-go/gracex/release"
)

// The manifest is https://dl.example.org/shop/stable/release.json.
func ExampleHTTP() {
	src := release.HTTP("https://dl.example.org/shop/stable",
		release.TokenFile("/etc/shop/token"), // is read again before each request
		release.CA("/etc/ssl/private/our-ca.pem"))
	offer, err := src.Head(context.Background(), "")
	var wait *release.WaitError
	switch {
	case errors.As(err, &wait):
		time.Sleep(wait.Wait)
	case err != nil:
		fmt.Println(err)
		return
	}
	fmt.Println(len(offer.Manifest))
}

// Short-lived tokens come from a function.
func ExampleGitHub() {
	src := release.GitHub("team/shop", release.Prereleases(), release.Token(func(context.Context) (string, error) {
		return os.Getenv("GITHUB_TOKEN"), nil
	}))
	fmt.Println(src)
	// Output: github.com/team/shop
}

// A folder of a network file system.
func ExampleDir() {
	src := release.Dir("/mnt/releases/shop")
	body, from, err := src.Open(context.Background(), "shop_linux_amd64", 4096)
	if err != nil {
		fmt.Println(errors.Is(err, release.ErrNotTried))
		return
	}
	defer body.Close()
	_, _ = io.Copy(io.Discard, body)
	fmt.Println(from)
	// Output: true
}

// GitLab wants its token in a header of its own.
func ExampleHeader() {
	src := release.HTTP("https://gitlab.example.org/api/v4/projects/42/packages/generic/shop/stable",
		release.Header("Private-Token", os.Getenv("GITLAB_TOKEN")),
		release.Client(&http.Client{Timeout: time.Hour}))
	fmt.Println(src)
	// Output: https://gitlab.example.org/api/v4/projects/42/packages/generic/shop/stable
}
