package spawn

import (
	"fmt"
	"os/exec"
)

// relayCommand returns a program that copies its stdin to its stdout. It is not to
// end by the signals that end the service: the last words come after those.
func relayCommand() ([]string, error) {
	sh, err := exec.LookPath("sh")
	if err == nil {
		_, err = exec.LookPath("cat")
	}
	if err != nil {
		return nil, fmt.Errorf("there is nothing to relay its stderr with: %w", err)
	}
	return []string{sh, "-c", "trap '' HUP INT QUIT TERM USR1 USR2; exec cat"}, nil
}

func (c *Capture) startRelay() error {
	argv, err := relayCommand()
	if err != nil {
		return err
	}
	rc, err := c.reader.SyscallConn()
	if err != nil {
		return err
	}
	return startRelay(rc, argv)
}
