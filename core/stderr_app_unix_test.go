//go:build unix

package core_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core"
)

// A program that dies before main.
func init() {
	if os.Getenv(envProgram) != "" && core.StartedGraceful() && mode() == "init" {
		fmt.Fprintln(os.Stderr, "no licence")
		panic("in init")
	}
}

// floodLines is 2 MB of them.
const floodLines = 20_000

func floodLine(i int) string { return fmt.Sprintf("flood %05d %s\n", i, strings.Repeat("x", 87)) }

// misbehaveOnStderr is what a new version says before it is ready.
func misbehaveOnStderr(mode string) {
	switch mode {
	case "writes":
		for i := range 30 {
			fmt.Fprintf(os.Stderr, "line %d\n", i)
		}
		os.Exit(7)
	case "huge":
		fmt.Fprintf(os.Stderr, "huge %s\nfour\x00\x1b[31m\xff\xc3\xa4\r\n\nunterminated", strings.Repeat("y", 300_000))
		os.Exit(7)
	case "flood", "halfflood":
		n := floodLines
		if mode == "halfflood" {
			n /= 4
		}
		flood(n)
	case "chatter":
		go chatter()
	case "grandchild":
		fmt.Fprintln(os.Stderr, "the parent's last word")
		child := startChild("sleep", "60")
		emit(event{Event: "child", Err: itoa(child.Process.Pid)})
		os.Exit(7)
	case "sidecar":
		startChild("sh", "-c", "while [ ! -e go ]; do sleep 0.01; done; echo sidecar lives >&2; echo >done")
	}
}

func flood(n int) {
	for i := range n {
		fmt.Fprint(os.Stderr, floodLine(i))
	}
	emit(event{Event: "flooded"})
}

func startChild(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	return cmd
}

// chatter counts on stderr until this process is not to misbehave any more.
func chatter() {
	for i := 0; ; i++ {
		fmt.Fprintf(os.Stderr, "chatter %d %s\n", i, strings.Repeat("z", 80))
		if mode() != "chatter" {
			fmt.Fprintf(os.Stderr, "chatter ends %d\n", i)
			return
		}
		if i%50 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}
