//go:build unix

package gracehttp_test

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/compat/grace/gracehttp"
	"github.com/gracex-go/gracex/core/compat/internal/compattest"
	"github.com/gracex-go/gracex/internal/proctest"
)

func TestMain(m *testing.M) { os.Exit(proctest.Main(m)) }

func TestDemo(t *testing.T) {
	t.Parallel()
	p := compattest.Start(t, compattest.Build(t, "demo"), 2)
	p.Upgrades(syscall.SIGUSR2)
	if n := strings.Count(p.Log.String(), "a new process is about to be started"); n != 2 {
		t.Errorf("PreStartProcess was called %d times for two upgrades", n)
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	if err := gracehttp.Serve(); err == nil || !strings.Contains(err.Error(), "no server") {
		t.Error(err)
	}
}
