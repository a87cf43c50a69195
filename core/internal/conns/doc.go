// Package conns knows what every open connection is doing, and moves connections to the next process.
//
// A Conn stands between the socket and net/http. It follows what net/http does from one request to the next,
// and finds the boundary between two requests, where nothing of the connection is in this process (boundary.go).
// There it offers itself to the Mover (waiting.go), which sends its descriptor to the next process (mover.go,
// offer.go). A Table holds the connections of one process and counts what becomes of them. SelfTest checks that
// net/http reads in the way that all this relies on.
package conns
