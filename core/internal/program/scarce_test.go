package program

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
)

// TestScarce: each error that means that there is no more of something has a remedy.
func TestScarce(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]string{
		syscall.EMFILE: "LimitNOFILE", syscall.ENFILE: "fs.file-max", syscall.EAGAIN: "TasksMax",
		syscall.ENOMEM: "memory for two", syscall.ETXTBSY: "by rename", syscall.E2BIG: "too large",
		net.ErrClosed: "",
	} {
		if got := scarce(errors.Join(err)); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
