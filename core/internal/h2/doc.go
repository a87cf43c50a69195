// Package h2 stands between an HTTP/2 client and a server of net/http's, in the clear. It lets the server leave
// without refusing a request, and moves the connection to a server of another process.
//
// RFC 9113, section 6.8, says how a server leaves: a GOAWAY that names the highest possible stream, "to allow
// for in-flight stream creation", and after at least a round-trip a second one that names the last stream it
// has. net/http has the second alone: the streams that a client has opened meanwhile are refused, and a
// client can't send a request again whose body it has streamed.
//
// A [Conn] follows the frames on both ways. [Conn.Leave] puts the first GOAWAY and a PING between two frames
// of the server's. The client's answer to the PING comes behind everything that it sent before it read them.
// Then the server reads a GOAWAY, as if from the client (also section 6.8: "the other endpoint SHOULD send a
// GOAWAY"), and does what it does for one: it says GOAWAY with the last stream that it has read, answers
// those that it has, and closes. So nobody but the server itself counts streams.
//
// A Conn also moves to another process. It keeps books of the connection: what is open and owed, the windows and
// SETTINGS of both sides, and the header table of the client's encoder. When no stream is open and nothing is owed,
// these are a [State] of at most a few kilobytes, and [Conn.Move] offers that. In the other process [Adopt] tells a fresh
// server of net/http's a short history by which it is in that state, and swallows what it answers. From there on frames
// pass both ways, and the client has seen nothing.
//
// [Probe] and [ProbeMove] try all that with the net/http that the program was built with.
package h2
