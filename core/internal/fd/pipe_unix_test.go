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
)

// TestPipe: the writer blocks, and the reader can be told to end.
func TestPipe(t *testing.T) {
	t.Parallel()
	r, w, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := checkBlocking(w); err != nil {
		t.Error(err)
	}
	id, err := PipeID(w)
	if err != nil {
		t.Fatal(err)
	}
	dup, err := DupOf(w)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := PipeID(dup); err != nil || again != id {
		t.Errorf("the duplicate is pipe %d, %v, want %d", again, err, id)
	}
	if err := Replace(w, dup); err != nil {
		t.Error(err)
	}
	_ = Close(w)
	if err := r.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
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
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	want := bytes.Repeat([]byte("0123456789"), 100_000)
	rc, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Dup(rc)
	if err != nil {
		t.Fatal(err)
	}
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
	if err != nil {
		t.Fatal(err)
	}
	r2.Close()
	defer Close(w2)
	if err := WriteAll(w2, want); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("WriteAll = %v, want EPIPE", err)
	}
}

func TestCheckOutput(t *testing.T) {
	t.Parallel()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, w, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer Close(w)
	for _, s := range []int{int(null.Fd()), int(file.Fd()), w} {
		if err := CheckOutput(s); err != nil {
			t.Error(err)
		}
	}
	zero, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer zero.Close()
	nonblocking, err := DupOf(w)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(nonblocking)
	if err := SetNonblock(nonblocking); err != nil {
		t.Fatal(err)
	}
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
		if err := Replace(0, s); err != nil {
			t.Fatal(err)
		}
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
