// Package load puts HTTP/1.1 load, or HTTP/2 load, on a server and counts what a client saw.
//
// It exists because net/http's own client hides what this project has to prove: http.Transport sends an idempotent
// request again, without a word, when a reused connection turns out to be closed, and it replays a POST whose body it
// can rewind if no byte of it was written. A test on top of it reports zero losses for a server that loses hundreds.
// The clients here never retry. Every request is written once, over a connection of the client's own, and ends as
// answered or as failed with a reason.
//
// A keep-alive client dials when it has no connection and when the last answer said "Connection: close", and at no
// other time. It does not look whether an idle connection has been closed before it writes the next request; a request
// written on a connection that the server closed meanwhile is a failure, because for a client that cannot repeat its
// request it is one. A fresh client opens a connection for each request and says "Connection: close" itself.
//
// What tells one answer from another is a tag that no two requests have in common. A request's body begins with it,
// and the answer has to have exactly that body. Where a request or its answer has no body, the request says it in the
// header X-Tag, and the answer has to have exactly that header, and no body. So an answer that belongs to another
// request is seen, and one that is cut short, too long or given twice. What comes behind an answer so late that it is
// not there yet when the answer has been read meets the next request on the connection, as an answer that is not its
// own.
//
// This is what the server's handler has to do for all [Kinds]:
//
//   - It reads the request's body to its end before it answers. An answer that begins earlier fails the request:
//     net/http throws away what is unread then, and sends no "100 Continue".
//   - It answers with status 200, the body that it read and the request's X-Tag, if there is one. To a HEAD it need
//     not do anything else than to a GET.
//   - To a query with "status=304" it answers with that status and X-Tag, and without a body.
//   - It sets X-Pid and X-Generation, which say what process answered.
//
// A trailer section comes back in no answer. That the server knows where it ends shows in the next request on the
// connection.
//
// An HTTP/2 client opens its streams at the same time on one connection, and another connection when the server has
// said GOAWAY and the streams of this one are answered. A stream that the server refuses by GOAWAY is a failure: a
// client could ask again, but for a body that it has streamed it can't.
//
// A pipelining client, and one whose connection is hijacked and echoes, write without waiting for what comes back.
// When one answer is lost, those behind it are, too.
//
//	run := load.Start(load.Config{Addr: "127.0.0.1:8080", Clients: 32, Fresh: 32})
//	... upgrade the server ...
//	if result := run.Stop(); result.Failed > 0 {
//		t.Error(result)
//	}
package load
