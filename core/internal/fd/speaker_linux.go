package fd

import "syscall"

// speakerSpace is what the kernel's word on the speaker takes in a message.
var speakerSpace = syscall.CmsgSpace(syscall.SizeofUcred)

// AskSpeaker has the kernel say who has written what is read from the unix socket s: see SO_PASSCRED in unix(7). Each
// end of a pair has its own word, and what was written before is not covered.
func AskSpeaker(s int) error {
	return syscall.SetsockoptInt(s, syscall.SOL_SOCKET, syscall.SO_PASSCRED, 1)
}

// speakerOf reads the kernel's word. It reports false for a message about anything else.
func speakerOf(m *syscall.SocketControlMessage) (Speaker, bool) {
	cred, err := syscall.ParseUnixCredentials(m)
	if err != nil {
		return Speaker{}, false
	}
	return Speaker{PID: int(cred.Pid), UID: int(cred.Uid)}, true
}

// Maker is the process that has made the pair to which the unix socket s belongs, and its effective user at that time.
// Of a connection it is the process at the other end that has called connect(2) or listen(2): see SO_PEERCRED in unix(7).
func Maker(s int) (Speaker, error) {
	cred, err := syscall.GetsockoptUcred(s, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return Speaker{}, err
	}
	return Speaker{PID: int(cred.Pid), UID: int(cred.Uid)}, nil
}
