// Package control talks to a running gracex app over its control socket. It asks for the state of the app,
// starts an upgrade and follows it to its outcome, rolls back an upgrade on probation, and stops the service.
//
//	c, err := control.Find(ctx, control.Query{PIDFile: "/run/app.pid"})
//	if err != nil {
//		return err
//	}
//	outcome, err := c.Upgrade(ctx, control.UpgradeOptions{Events: func(e control.Event) { fmt.Println(e.Step, e.Text) }})
//
// The socket speaks HTTP with JSON, so curl --unix-socket works too. docs/control.md describes
// it. The app opens the socket with core.WithControlSocket, or by itself if it has a pid file.
// This package does not depend on core, and a tool that imports it is not a gracex app.
package control
