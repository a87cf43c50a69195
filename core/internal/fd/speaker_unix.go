//go:build unix && !linux

package fd

import "syscall"

const speakerSpace = 0

// AskSpeaker does nothing: here the kernel does not say who has written what is read.
func AskSpeaker(int) error { return nil }

func speakerOf(*syscall.SocketControlMessage) (Speaker, bool) { return Speaker{}, false }

// Maker is not known here.
func Maker(int) (Speaker, error) { return Speaker{}, ErrUnsupported }
