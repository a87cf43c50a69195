// Package control talks to a running gracex app over its control socket: it asks
// what is going on, starts an upgrade and watches it to its outcome, takes one back
// that is on probation, and stops the service.
//
//	c, err := control.Find(ctx, control.Query{PIDFile: "/run/app.pid"})
//	if err != nil {
//		return err
//	}
//	outcome, err := c.Upgrade(ctx, func(e control.Event) { fmt.Println(e.Step, e.Text) })
//
// The socket speaks HTTP with JSON, so that curl --unix-socket will do as well;
// docs/control.md is the written page. The app makes it with
// core.WithControlSocket, or by itself if it has a pid file. This package has no
// dependency on core: a tool that imports it is no gracex app itself.
package control
