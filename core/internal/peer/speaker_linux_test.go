package peer

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

// child starts a process of the user that ends with the test.
func child(t *testing.T, user int) *os.Process {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can start processes of other users")
	}
	cmd := exec.Command("cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}}
	in := must.Get(cmd.StdinPipe())(t)
	must.Do(t, cmd.Start())
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	return cmd.Process
}

// TestHello_OfANewProcessWithoutRights: it can't have the old process, which is root's, signal another one of root's.
func TestHello_OfANewProcessWithoutRights(t *testing.T) {
	t.Parallel()
	victim, says := child(t, 0), child(t, 65534)
	n := &Next{proc: newPlayed(), Exited: make(chan struct{}), Frames: newFrames()}
	close(n.Frames.Silent) // nobody is answered
	f := heard{by: fd.Speaker{PID: says.Pid, UID: 65534}}
	f.Type, f.Payload = wire.Hello, []byte(`{"pid":`+strconv.Itoa(victim.Pid)+`}`)
	n.note(f)
	if own := n.own(); own == nil || own.Pid != says.Pid || n.Says() != says.Pid {
		t.Errorf("%+v is taken for process %d, which has said hello", own, says.Pid)
	}
	f.by, f.Type = fd.Speaker{PID: 1 << 30, UID: 65534}, wire.Follows
	n.followed(f)
	if own := n.own(); own == nil || own.Pid != says.Pid {
		t.Errorf("%+v follows", own)
	}
}

// TestFollowed_SaysWhetherOffersStand: what was taken back, because nobody was there, is not to be taken by the one that
// follows. From followed on its life is what counts.
func TestFollowed_SaysWhetherOffersStand(t *testing.T) {
	t.Parallel()
	heir := child(t, 0)
	for name, tt := range map[string]struct {
		late, unknown, want bool
	}{
		"in time":                {want: true},
		"taken back before":      {late: true},
		"it is not what it says": {unknown: true, want: true}, // and listens all the same
	} {
		t.Run(name, func(t *testing.T) {
			ours, end, err := fd.Pair()
			must.Do(t, err)
			defer ours.Close()
			theirs := must.Get(fd.Conn(end))(t)
			defer theirs.Close()
			n := &Next{
				proc: newPlayed(), ctl: ours, Exited: make(chan struct{}), writing: make(chan struct{}, 1), Frames: newFrames(),
			}
			close(n.Exited)
			if tt.late && !n.takesBack() {
				t.Error("nobody is there, and it waits")
			}
			f := heard{by: fd.Speaker{PID: heir.Pid}}
			if tt.unknown {
				f.by = fd.Speaker{PID: 1 << 30, UID: 65534}
			}
			f.Type, f.Payload = wire.Follows, []byte(`{"pid":`+strconv.Itoa(heir.Pid)+`}`)
			n.followed(f)
			var msg wire.FollowedMsg
			answer := must.Get(wire.Read(theirs))(t)
			must.Do(t, answer.Decode(&msg))
			if msg.Awaits != tt.want || n.takesBack() == tt.want {
				t.Errorf("it awaits: %v, want %v", msg.Awaits, tt.want)
			}
		})
	}
}

// TestSignal_OfAnOldProcessWithoutRights: it can't have the new process, which is root's, signal another one of root's.
func TestSignal_OfAnOldProcessWithoutRights(t *testing.T) {
	t.Parallel()
	victim, maker := child(t, 0), child(t, 65534)
	ours, end, err := fd.Pair()
	must.Do(t, err)
	defer ours.Close()
	defer fd.Close(end)
	p := NewOld(ours)
	if p.maker.PID != os.Getpid() {
		t.Errorf("%+v has made the pair", p.maker)
	}
	p.maker = fd.Speaker{PID: maker.Pid, UID: 65534}
	for pid, ok := range map[int]bool{victim.Pid: false, maker.Pid: true} {
		p.oldPID = pid
		if err := p.Signal(0); ok != (err == nil) || !ok && !errors.Is(err, os.ErrPermission) {
			t.Errorf("process %d: %v", pid, err)
		}
	}
}

// TestProve: a supervisor that answers is one now, and what it has said besides is not lost.
func TestProve(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		supervisor int
		answers    bool
	}{
		"it answers":             {os.Getpid(), true},
		"it only has the answer": {os.Getpid(), false},
		"another one answers":    {os.Getppid(), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, end, err := fd.Pair()
			must.Do(t, err)
			l := must.Get(NewLink(end, c.supervisor))(t)
			defer l.Close()
			l.Only = true
			go func() {
				defer ours.Close()
				for {
					f, err := wire.Read(ours)
					var msg wire.ProveMsg
					if err != nil {
						return
					}
					if f.Type != wire.Prove {
						continue
					}
					if f.Decode(&msg) != nil || !c.answers {
						msg.Nonce = "a guess"
					}
					_ = wire.Write(ours, wire.Returned, nil)
					_ = wire.Write(ours, wire.Proved, msg)
					return
				}
			}()
			err = l.Prove()
			if want := c.answers && c.supervisor == os.Getpid(); want != (err == nil) {
				t.Fatalf("%v", err)
			}
			if err == nil {
				l.Follow(func(wire.SignalMsg) bool { return false }, func() {})
				<-l.Returned
				<-l.Gone
			}
		})
	}
}

// TestOnly: to a process with more rights than its caller nobody but its old process speaks, or its supervisor.
func TestOnly(t *testing.T) {
	t.Parallel()
	for pid, heard := range map[int]bool{os.Getpid(): true, os.Getppid(): false} {
		ours, end, err := fd.Pair()
		must.Do(t, err)
		p := NewOld(must.Get(fd.Conn(end))(t))
		p.Only, p.maker.PID = true, pid
		must.Do(t, wire.Write(ours, wire.Ping, nil))
		stop := make(chan struct{})
		nothing := func() {}
		go p.Follow(OldHandler{Older: nothing, Returned: nothing, Ended: nothing}, stop, slog.New(slog.DiscardHandler))
		if f, err := wire.Read(ours); heard != (err == nil && f.Type == wire.Pong) {
			t.Errorf("process %d says ping: %v, %v", pid, f.Type, err)
		}
		ours.Close()
		<-p.Gone
		close(stop)

		ours, end, err = fd.Pair()
		must.Do(t, err)
		l := must.Get(NewLink(end, pid))(t)
		l.Only = true
		asked := make(chan wire.SignalMsg, 1)
		must.Do(t, wire.Write(ours, wire.Signal, wire.SignalMsg{Signal: 1}))
		l.Follow(func(msg wire.SignalMsg) bool { asked <- msg; return true }, nothing)
		select {
		case <-asked:
			if !heard {
				t.Errorf("process %d passes a signal on", pid)
			}
			ours.Close()
			<-l.Gone
		case <-l.Gone:
			if heard {
				t.Error("the supervisor is not heard")
			}
			ours.Close()
		}
		l.Close()
	}
}
