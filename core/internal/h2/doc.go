// Package h2 stands between an HTTP/2 client and a server of net/http's, in the clear,
// and lets the server leave without refusing a request.
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
// [Probe] tries all that with the net/http that the program was built with.
package h2
