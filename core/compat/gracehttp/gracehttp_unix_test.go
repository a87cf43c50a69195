//go:build unix

package gracehttp_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/compat/internal/compattest"
	"github.com/gracex-go/gracex/internal/proctest"
)

func TestMain(m *testing.M) { os.Exit(proctest.Main(m)) }

func TestHello(t *testing.T) {
	t.Parallel()
	compattest.Start(t, compattest.Build(t, "hello"), 1).Upgrades(syscall.SIGUSR2)
}
