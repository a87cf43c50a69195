package wsmove

import "net"

// ErrMoving is the error of Read and Write when the connection goes on in the new process. If it can't move, its client
// gets the close code 1012, or 1001 on a stop, when the handler has ended. The handler closes the connection then and
// returns, as it does for a client that has gone. For errors.Is it is net.ErrClosed, too. It is no net.Error, because
// gorilla/websocket would replace that by an error of its own.
var ErrMoving error = movingError{}

type movingError struct{}

func (movingError) Error() string        { return "wsmove: the connection moves to the new process" }
func (movingError) Is(target error) bool { return target == net.ErrClosed }
