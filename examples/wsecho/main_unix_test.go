//go:build unix

package main

import (
	"testing"

	"github.com/gracex-go/gracex/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestErrorEndsWithStatus1(t *testing.T) {
	t.Parallel()
	exampletest.ErrorEndsWithStatus1(t, "wsecho")
}
