//go:build unix

package spawn

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

// inherits returns a duplicate of the doorbell's end, as a process has it, and the value of wire.EnvDoorbell for it.
func inherits(t *testing.T, d *Doorbell) (end int, v string) {
	t.Helper()
	end = must.Get(fd.DupOf(d.End()))(t)
	return end, wire.LinkInfo{Version: wire.Version, Descriptor: end, PID: os.Getpid()}.String()
}

// TestDoorbell_PassesMoreThanOneMessageHas descriptors, in their order, and is dead for everybody else then.
func TestDoorbell_PassesMoreThanOneMessageHas(t *testing.T) {
	t.Parallel()
	d := must.Get(NewDoorbell())(t)
	defer d.Close()
	_, v := inherits(t, d)
	var files []int
	for i := range 2*fd.MaxFiles + 1 {
		r, w, err := os.Pipe()
		must.Do(t, err)
		must.Get(w.WriteString(strconv.Itoa(i)))(t)
		must.Do(t, w.Close())
		defer r.Close()
		files = append(files, int(r.Fd()))
	}
	must.Do(t, d.Pass(wire.PassMsg{To: os.Getpid(), Handover: "x", Dir: []byte("/tmp")}, files))
	p, err := Answer(v)
	if err != nil || p == nil {
		t.Fatalf("%v, %v", p, err)
	}
	if p.Handover != "x" || string(p.Dir) != "/tmp" || len(p.List) != len(files) || !p.Has(fd.First+len(files)-1) || p.Has(fd.First+len(files)) {
		t.Errorf("%+v", p)
	}
	for i, s := range p.List {
		f := os.NewFile(uintptr(s), "")
		b := make([]byte, 8)
		n, err := f.Read(b)
		if err != nil || string(b[:n]) != strconv.Itoa(i) {
			t.Errorf("descriptor %d has %q, %v", i, b[:n], err)
		}
		must.Do(t, f.Close())
	}
	if late, _ := inherits(t, d); true {
		c := must.Get(fd.UnixConn(late))(t)
		defer c.Close()
		if mine, err := isFor(c, os.Getpid()); mine || err != errNobodyThere {
			t.Errorf("another process finds %v, %v", mine, err)
		}
	}
}

// TestDoorbell_LeavesWhatIsForAnother process where it is.
func TestDoorbell_LeavesWhatIsForAnother(t *testing.T) {
	t.Parallel()
	d := must.Get(NewDoorbell())(t)
	r, w, err := os.Pipe()
	must.Do(t, err)
	defer r.Close()
	_, v := inherits(t, d)
	end, _ := inherits(t, d)
	defer fd.Close(end)
	must.Do(t, d.Pass(wire.PassMsg{To: os.Getpid() + 1}, []int{int(w.Fd())}))
	must.Do(t, w.Close())
	if p, err := Answer(v); p != nil || err != nil {
		t.Fatalf("%+v, %v: it took what is another process's", p, err)
	}
	if len(fd.Peek(end, 1)) == 0 {
		t.Error("nothing waits there any more")
	}
	d.Close() // the process that it was for has ended
	if n, err := r.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d bytes, %v: the descriptor is open somewhere", n, err)
	}
}

// TestDoorbell_OfAnotherMaker is none of this process's.
func TestDoorbell_OfAnotherMaker(t *testing.T) {
	t.Parallel()
	d := must.Get(NewDoorbell())(t)
	defer d.Close()
	end, _ := inherits(t, d)
	defer fd.Close(end)
	if _, err := fd.Maker(end); err != nil {
		t.Skip("this system does not tell who has made a socket")
	}
	must.Do(t, d.Pass(wire.PassMsg{To: os.Getpid()}, []int{0}))
	v := wire.LinkInfo{Version: wire.Version, Descriptor: end, PID: os.Getpid() + 1}.String()
	if p, err := Answer(v); p != nil || err != nil {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestAnswer_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"", "1:2:3", "1:3", "x"} {
		if p, err := Answer(v); p != nil || err == nil || !strings.Contains(err.Error(), wire.EnvDoorbell+"="+strconv.Quote(v)) {
			t.Errorf("%q: %+v, %v", v, p, err)
		}
	}
	if !slices.Contains(private, wire.EnvDoorbell) {
		t.Error("the variable is passed on")
	}
}
