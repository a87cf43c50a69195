// Package wsmove keeps WebSocket connections open through an upgrade, with the library that the program uses: gorilla,
// coder, gobwas, golang.org/x/net, melody or another one that takes its connection by http.Hijacker.
//
//	srv.Handler = wsmove.Handler("ws", router) // outermost
//
//	func chat(w http.ResponseWriter, r *http.Request) {
//		s := wsmove.Move(r) // before the library's Upgrade or Accept
//		c, err := upgrader.Upgrade(w, r, nil)
//		...
//	}
//
// When the old process drains, the handler's reads and writes return [ErrMoving], and the handler ends as it does for
// any client that has gone. The connection goes to the new process by core.Handoff. There the handler is called again
// with the same request: path, query, headers, cookies, remote address. So it checks the login and joins its rooms
// again. What the library answers to the handshake is compared with what the client was told, and not sent. The client
// notices nothing.
//
// Reading stops at any byte. What was read of a message that is not complete goes along. Writing stops between two
// messages. docs/websockets.md has what a program has to look after.
//
// The old process takes these steps for all connections of a [Handler] together:
//
//  1. It stops reading from all of them.
//  2. It waits a moment, in which what was read reaches those who write it to others (see [WithSettle]).
//  3. It stops writing to all of them. Then their handlers get ErrMoving.
//  4. It hands each one off when its handler has closed it and returned.
//
// The new process reads from none of them before all have come and their handlers read (see [WithGather]). So a room
// of a chat is complete before anybody speaks in it, and nobody is seen to leave.
//
// A connection over TLS moves with core.WithTLSHandoff(true). One that can't move, over TLS 1.2 for example, takes the
// same steps at a moment of its own and ends with the close code 1012, by which a client knows that it may come back at
// once. On a stop of the service all of them end with 1001.
package wsmove
