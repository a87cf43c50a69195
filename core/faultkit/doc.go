// Command faultkit upgrades a program under load, again and again, and fails if any
// client or any process noticed. It has three modes. It needs Linux.
//
// It tries cells, each one upgrade with one fault at one exact step, and prints what became of the service and how many
// requests were lost: of its own small server, or of the program that it is given, which has to be one on gracex.
// docs/faults.md says how a step is hit, and how to read the matrix. In a clone of the repository
//
//	go run ./core/faultkit
//	go run ./core/faultkit -url 'http://127.0.0.1:{port}/' ./myserver -addr '127.0.0.1:{port}'
//
// Or it soaks its own server: for a time it upgrades it at random moments.
//
//	go run ./core/faultkit -soak 30m
//
// Or it lets storms loose on it: upgrades without a rest, with kills and stops, while each request has a token.
//
//	go run ./core/faultkit -storm 1h
//
// # A soak
//
// SIGUSR2 or SIGHUP goes to whatever process the pid file names, once or several times in a row, after pauses of 20 ms
// to 2 s. Some upgrades fail on purpose: the new version exits at once, is never ready, or is refused by its own check.
// Meanwhile clients ask in every way that load.Kinds lists, as fast as they can or with pauses, over TCP, TLS and a unix
// socket; some pipeline, some have hijacked connections that move by core.Handoff, some ask only now and then. None of
// them repeats a request. What has to hold:
//
//   - No request fails, and no byte of a hijacked connection is lost. No client gets an answer from an older generation
//     than the one before.
//   - Without TLS no client has to open a second connection. Over TLS, where connections don't move, it has to only when
//     its generation hands over.
//   - The servers log nothing above INFO that is not about a failure on purpose.
//   - Each generation has served exactly the requests that clients had answers of, has cut and refused nothing, and has
//     moved as many connections as the next has adopted. Together they have accepted what clients have dialed.
//   - Memory and descriptors of a generation of a certain age do not grow over the run. The last one, when nobody asks
//     it any more, has the goroutines and descriptors of the first one that nobody had asked yet.
//   - Old generations end, in time and with status 0, and leave no zombies.
//
// With -break the server has a fault, so that one can see the checks fail.
//
// # Roles
//
// One binary plays all parts, told apart by an environment variable: the kit itself; the shim; and the launcher, which
// becomes the program under test once it has lowered a limit or mounted a file system. It does not import package core,
// whose initialization would take the handover socket for its own. So the kit's own server is a program apart, in the
// directory server.
package main
