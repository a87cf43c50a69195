// Package page shows a running gracex app in a browser: its processes, the connections as they move between them, its
// requests, errors and latencies by version, its counts and its events. An operator upgrades, rolls back, promotes and
// stops the app there. It is what the command "gracex ui" serves.
//
// An app can show itself, on a port for its operators:
//
//	admin := http.NewServeMux()
//	admin.Handle("/gracex/", page.Handler(page.Config{Source: page.Own(core.ControlSocket)}))
//	err := core.ListenAndServe(":8080", mux, core.WithPIDFile("app.pid"), core.AlsoServe("127.0.0.1:9090", admin))
//
// The [Handler] checks no password. Whoever reaches it reads what it shows, so put your own guard before it. It asks the
// app for nothing while nobody watches. It changes nothing unless Config.Actions allows the request.
//
// The page needs nothing from another server. Its chart library is uPlot (https://github.com/leeoniya/uPlot), whose
// version and licence are in assets/uplot.
//
// A program that shows an app on the loopback interface, where any user of the machine can connect, uses [Local].
package page
