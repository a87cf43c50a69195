package core_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/reserve"
	"github.com/gracex-go/gracex/internal/load"
)

func init() { programs["scarce"] = playScarce }

// rlimitNPROC is RLIMIT_NPROC of asm-generic/resource.h, which package syscall lacks.
const rlimitNPROC = 6

// playScarce is a program for a user with few threads. With a file "greedy" beside it a new version takes them all, and
// ends when the file is gone.
func playScarce() {
	if _, err := os.Stat("greedy"); err == nil && core.Upgrading() {
		takeAllThreads()
		os.Exit(1)
	}
	mux := http.NewServeMux()
	err := core.Run(func(u *core.Upgrader) error {
		mux.HandleFunc("/", serveRequest)
		mux.HandleFunc("/upgrade", done(u.Upgrade))
		mux.HandleFunc("/threads", func(_ http.ResponseWriter, r *http.Request) {
			n, err := strconv.Atoi(r.FormValue("free"))
			check(err)
			var limit syscall.Rlimit
			check(syscall.Getrlimit(rlimitNPROC, &limit))
			limit.Cur = uint64(ownThreads() + n)
			check(syscall.Setrlimit(rlimitNPROC, &limit))
		})
		mux.HandleFunc("/block", func(http.ResponseWriter, *http.Request) { blockThreads(3) })
		ln, err := u.Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		go func() {
			if u.Ready() == nil {
				emit(event{Event: "ready", Gen: core.Generation(), Addrs: []string{ln.Addr().String()}})
			}
		}()
		return u.Attach(&http.Server{Handler: mux}, ln)
	}, core.WithControlSocket(""), core.WithProbation(0))
	check(err)
}

// ownThreads counts those of this process, the only one of its user.
func ownThreads() int {
	tasks, err := os.ReadDir("/proc/self/task")
	check(err)
	return len(tasks)
}

// blockThreads has goroutines wait in system calls until the process ends. That takes a thread for each.
func blockThreads(n int) {
	var ends [2]int
	check(syscall.Pipe2(ends[:], syscall.O_CLOEXEC))
	var wait sync.WaitGroup
	for range n {
		wait.Add(1)
		go func() {
			wait.Done()
			_, _ = syscall.Read(ends[0], make([]byte, 1))
		}()
	}
	wait.Wait()
}

// takeAllThreads starts processes until there can be no more, and ends them when the file "greedy" is gone, or the old
// process. It keeps threads for itself first: the runtime would end it if it needed another one, and the others would
// be left. They end with it, whatever ends it.
func takeAllThreads() {
	old := os.Getppid()
	reserve.KeepThreads()
	var taken []*exec.Cmd
	for {
		cmd := exec.Command("sleep", "600")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it is bound to the thread that starts it, which ends with the process
		if err := cmd.Start(); errors.Is(err, syscall.EAGAIN) {
			break
		} else if err != nil {
			panic(err)
		}
		taken = append(taken, cmd)
	}
	check(os.WriteFile("full", nil, 0o600))
	for _, err := os.Stat("greedy"); err == nil && os.Getppid() == old; _, err = os.Stat("greedy") {
		time.Sleep(time.Millisecond)
	}
	for _, cmd := range taken {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// TestUpgrade_LeavesThisProcessItsThreads has a user with few threads. An upgrade for which they do not suffice is
// refused. In another one the new version takes all that are left, and this process still has what it needs.
func TestUpgrade_LeavesThisProcessItsThreads(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can start the app as a user that has no other process")
	}
	a := installed(t)
	must(t, os.Chmod(a.dir, 0o777))
	user := uint32(1<<30 + os.Getpid())
	a.attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	a.env = []string{"GOMAXPROCS=2"}
	a.start("scarce", "./app")
	addr := a.expect("ready", 0).Addrs[0]
	run := load.Start(load.Config{Addr: addr, Clients: 4})
	must(t, a.call(addr, "/threads?free=8"))
	err := a.upgrade(addr)
	expectError(t, err, fmt.Sprintf(" threads of RLIMIT_NPROC of user %d are free, and an upgrade takes ", user))
	expectError(t, err, "; raise LimitNPROC= (systemd), nproc (limits.conf) or ulimit -u: resource temporarily unavailable")

	must(t, a.call(addr, "/threads?free=60"))
	a.write("greedy", "")
	tried := make(chan string, 1)
	go func() {
		body, _ := get(addr, "/upgrade")
		tried <- body
	}()
	a.awaitFile("full")
	must(t, a.call(addr, "/block"))
	for range 50 {
		c, err := net.Dial("tcp", addr)
		must(t, err)
		c.Close()
		expectAnswers(t, addr)
	}
	must(t, os.Remove(a.path("greedy")))
	if got := <-tried; !strings.Contains(got, "it ended before it was ready") {
		t.Errorf("the upgrade: %s", got)
	}
	must(t, a.upgrade(addr))
	expectLossless(t, run)
}
