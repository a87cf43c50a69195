//go:build !linux

package control

// socketsOf would return the paths of the unix sockets that a process listens on; here no file says so.
func socketsOf(int) (paths []string, err error) { return nil, nil }

// socketsOfProgram would return those of the processes that run a program.
func socketsOfProgram(string) (own, named []string) { return nil, nil }
