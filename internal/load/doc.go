// Package load puts HTTP/1.1 load on a server and counts what a client saw.
//
// It exists because net/http's own client hides what this project has to
// prove: http.Transport sends an idempotent request again, without a word, when
// a reused connection turns out to be closed, and it replays a POST whose body
// it can rewind if no byte of it was written. A test on top of it reports zero
// losses for a server that loses hundreds. The clients here never retry. Every
// request is written once, over a connection of the client's own, and ends as
// answered or as failed with a reason.
//
// A keep-alive client dials when it has no connection and when the last answer
// said "Connection: close", and at no other time. It does not look whether an
// idle connection has been closed before it writes the next request; a request
// written on a connection that the server closed meanwhile is a failure,
// because for a client that cannot repeat its request it is one. A fresh client
// opens a connection for each request and says "Connection: close" itself.
//
// The server is expected to echo: each request's body is unique, and an answer
// counts only with status 200 and exactly that body, so that an answer which
// belongs to another request is seen. The headers X-Pid and X-Generation of the
// answer say which process gave it.
//
//	run := load.Start(load.Config{Addr: "127.0.0.1:8080", Clients: 32, Fresh: 32})
//	... upgrade the server ...
//	if result := run.Stop(); result.Failed > 0 {
//		t.Error(result)
//	}
package load
