// Command faultkit upgrades a program under load, again and again, each time with
// one fault at one exact step of the upgrade, and prints what became of the service
// and how many requests were lost.
//
// It tries its own small server, or the program that it is given, which has to be
// one on gracex. In a clone of the repository
//
//	go run ./core/faultkit
//	go run ./core/faultkit -url 'http://127.0.0.1:{port}/' ./myserver -addr '127.0.0.1:{port}'
//
// docs/faults.md says how to read the matrix. It needs Linux.
//
// # How a step is hit
//
// What an upgrade starts is the deployed path. There the kit puts itself: a process
// started from it, the shim, stands between the old process and the new one, whose
// program it starts, and passes each frame of the handover on, descriptors
// included. Before a frame goes on, the kit is asked. So the fault comes while the
// frame is in the shim's hands: said by the one, and not yet heard by the other.
// The program under test is not changed and knows nothing of it: to the old process
// the shim is the new one, and to the new one the protocol allows for a wrapper between
// the two.
//
// # Roles
//
// One binary plays all parts, told apart by an environment variable: the kit
// itself; the shim; and the launcher, which becomes the program under test once it
// has lowered a limit or mounted a file system. It does not import package core,
// whose initialization would take the control socket for its own. So the kit's own
// server is a program apart, in the directory server.
package main
