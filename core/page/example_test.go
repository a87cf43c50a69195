package page_test

import (
	"fmt"
	"net/http"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/page"
)

// An app shows itself on a port for its operators, and one of them may change it.
func ExampleHandler() {
	admin := http.NewServeMux()
	admin.Handle("/gracex/", page.Handler(page.Config{
		Source: page.Own(core.ControlSocket),
		Actions: func(r *http.Request) bool {
			user, _, _ := r.BasicAuth() // checked by the guard before
			return user == "operator"
		},
	}))
	serve := func(shop, guarded http.Handler) error {
		return core.ListenAndServe(":8080", shop, core.WithPIDFile("/run/shop/shop.pid"), core.AlsoServe("127.0.0.1:9090", guarded, core.Named("admin")))
	}
	_ = serve
}

// A program shows an app to the user who has started it.
func ExampleLocal() {
	ln, err := page.ListenLocal("127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	h, token := page.Local(page.Config{Source: control.Dial("/run/gracex/shop.sock")})
	srv := &http.Server{Handler: h}
	go func() { _ = srv.Serve(ln) }()
	defer srv.Close()
	_, _ = fmt.Printf("http://%s/#token=%s\n", ln.Addr(), token)
}
