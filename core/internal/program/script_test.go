package program

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

func TestInterpreter(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"#!/bin/sh\nx":            "/bin/sh",
		"#! /usr/bin/env\tnode\n": "/usr/bin/env",
		"#!/bin/sh -e":            "/bin/sh",
		"#!/bin/sh\r\n":           "/bin/sh\r", // as the system reads it
		"#!\n":                    "",
		"#":                       "",
		"\x7fELF":                 "",
		"":                        "",
	} {
		path := filepath.Join(t.TempDir(), "app")
		must.Do(t, os.WriteFile(path, []byte(content), 0o755))
		if got := Interpreter(path); got != want {
			t.Errorf("Interpreter of %q = %q, want %q", content, got, want)
		}
	}
}
