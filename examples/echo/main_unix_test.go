//go:build unix

package main

import (
	"testing"

	"github.com/gracex-go/gracex/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestContract(t *testing.T) {
	t.Parallel()
	exampletest.Contract(t, "echo")
}
