//go:build unix

package gracehttp_test

import (
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/compat/internal/compattest"
)

func TestHello(t *testing.T) {
	t.Parallel()
	compattest.Start(t, compattest.Build(t, "hello"), 1).Upgrades(syscall.SIGUSR2)
}
