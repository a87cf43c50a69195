package fd

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// says has another process write to the socket, as another user if that is possible.
func says(t *testing.T, to *os.File, words string) Speaker {
	t.Helper()
	cmd := exec.Command("cat")
	cmd.Stdin, cmd.Stdout = bytes.NewReader([]byte(words)), to
	by := Speaker{UID: os.Getuid()}
	if by.UID == 0 {
		by.UID = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	must.Do(t, cmd.Run())
	by.PID = cmd.Process.Pid
	return by
}

// TestSpeaker tells by the kernel's word who has written what, and notices two in one.
func TestSpeaker(t *testing.T) {
	t.Parallel()
	ours, end, err := Pair()
	must.Do(t, err)
	defer ours.Close()
	theirs := os.NewFile(uintptr(end), "theirs")
	defer theirs.Close()
	in := NewReceiver(ours.(*net.UnixConn))
	expect := func(n int, want Speaker, wantOne bool) {
		t.Helper()
		must.Get(io.ReadFull(in, make([]byte, n)))(t)
		if by, one := in.Speaker(); one != wantOne || one && by != want {
			t.Errorf("%+v, one: %v; want %+v, %v", by, one, want, wantOne)
		}
	}
	self := Speaker{PID: os.Getpid(), UID: os.Getuid()}
	must.Get(theirs.WriteString("self"))(t)
	other := says(t, theirs, "other")
	expect(4, self, true)
	expect(5, other, true)
	must.Get(theirs.WriteString("half "))(t)
	other = says(t, theirs, "and half")
	expect(13, Speaker{}, false)
	must.Get(theirs.WriteString("self"))(t)
	expect(4, self, true)
	if by, err := Maker(end); err != nil || by != self {
		t.Errorf("%+v has made the pair, %v", by, err)
	}
	if os.Getuid() == 0 && (other.Trusted() || !self.Trusted() || Speaker{}.Trusted()) {
		t.Error("another user is trusted, or this one is not")
	}
}

// TestReceiver_KeepsNoMoreThanOneMessageMayCarry of a sender that attaches descriptors to each byte.
func TestReceiver_KeepsNoMoreThanOneMessageMayCarry(t *testing.T) {
	t.Parallel()
	ours, theirs := control(t)
	r, w, err := os.Pipe()
	must.Do(t, err)
	defer r.Close()
	many := slices.Repeat([]int{int(w.Fd())}, MaxFiles-3)
	for range 3 {
		must.Do(t, Send(ours, []byte("x"), many))
	}
	w.Close()
	in := NewReceiver(theirs)
	must.Get(io.ReadFull(in, make([]byte, 3)))(t)
	files := in.Take()
	if len(files) != MaxFiles {
		t.Errorf("%d descriptors are kept, want %d", len(files), MaxFiles)
	}
	for _, s := range files {
		_ = Close(s)
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a descriptor is left: %v", err)
	}
}
