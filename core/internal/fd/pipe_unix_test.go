//go:build unix

package fd

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// TestPipe: the writer blocks, and the reader can be told to end.
func TestPipe(t *testing.T) {
	t.Parallel()
	r, w, err := Pipe()
	must.Do(t, err)
	defer r.Close()
	if err := checkBlocking(w); err != nil {
		t.Error(err)
	}
	id := must.Get(PipeID(w))(t)
	dup := must.Get(DupOf(w))(t)
	if again, err := PipeID(dup); err != nil || again != id {
		t.Errorf("the duplicate is pipe %d, %v, want %d", again, err, id)
	}
	if err := Replace(w, dup); err != nil {
		t.Error(err)
	}
	_ = Close(w)
	must.Do(t, r.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read = %v", err)
	}
	_ = Close(dup)
	_ = r.SetReadDeadline(time.Time{})
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("Read = %v", err)
	}
}

// TestWriteAll: to a pipe that is full and does not block, whole.
func TestWriteAll(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe() // non-blocking
	must.Do(t, err)
	defer r.Close()
	want := bytes.Repeat([]byte("0123456789"), 100_000)
	rc := must.Get(w.SyscallConn())(t)
	s := must.Get(Dup(rc))(t)
	w.Close()
	wrote := make(chan error, 1)
	go func() {
		wrote <- WriteAll(s, want)
		_ = Close(s)
	}()
	got, err := io.ReadAll(r)
	if werr := <-wrote; err != nil || werr != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v, %v", len(got), len(want), err, werr)
	}
	// Nobody reads: an error, and this process lives.
	r2, w2, err := Pipe()
	must.Do(t, err)
	r2.Close()
	defer Close(w2)
	if err := WriteAll(w2, want); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("WriteAll = %v, want EPIPE", err)
	}
}

func TestCheckOutput(t *testing.T) {
	t.Parallel()
	null := must.Get(os.OpenFile(os.DevNull, os.O_WRONLY, 0))(t)
	defer null.Close()
	file := must.Get(os.Create(filepath.Join(t.TempDir(), "f")))(t)
	defer file.Close()
	r, w, err := Pipe()
	must.Do(t, err)
	defer r.Close()
	defer Close(w)
	for _, s := range []int{int(null.Fd()), int(file.Fd()), w} {
		if err := CheckOutput(s); err != nil {
			t.Error(err)
		}
	}
	zero := must.Get(os.Open("/dev/zero"))(t)
	defer zero.Close()
	nonblocking := must.Get(DupOf(w))(t)
	defer Close(nonblocking)
	must.Do(t, SetNonblock(nonblocking))
	for s, want := range map[int]string{int(zero.Fd()): "terminal", nonblocking: "non-blocking", 1 << 20: "not open"} {
		if err := CheckOutput(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("CheckOutput = %v, want one with %q", err, want)
		}
	}
	if _, err := PipeID(int(file.Fd())); err == nil || !strings.Contains(err.Error(), "is a file") {
		t.Errorf("PipeID of a file: %v", err)
	}
}

// TestCloseOnExecFrom: by the system call, and by looking at what is open.
func TestCloseOnExecFrom(t *testing.T) {
	for name, way := range map[string]func(int){"call": CloseOnExecFrom, "walk": closeOnExecWalk} {
		// A number that the child does not use itself.
		const s = 90
		must.Do(t, Replace(0, s))
		inherited := func() bool { return exec.Command("/bin/sh", "-c", "test -e /dev/fd/90").Run() == nil }
		if !inherited() {
			t.Fatalf("%s: a child does not inherit it", name)
		}
		way(s)
		if inherited() {
			t.Errorf("%s: a child inherits it", name)
		}
		_ = Close(s)
	}
}
