package migrate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// The README's diff leads from one program to the other.
func TestREADME(t *testing.T) {
	t.Parallel()
	readme := must.Get(os.ReadFile("README.md"))(t)
	_, rest, _ := strings.Cut(string(readme), "```diff\n")
	diff, _, _ := strings.Cut(rest, "```\n")
	for program, other := range map[string]string{"before": "+", "after": "-"} {
		var side strings.Builder
		for line := range strings.Lines(diff) {
			if !strings.HasPrefix(line, other) {
				side.WriteString(line[1:])
			}
		}
		file := filepath.Join(program, "main.go")
		text := must.Get(os.ReadFile(file))(t)
		if side.Len() == 0 || !strings.Contains(string(text), side.String()) {
			t.Errorf("the diff in README.md is not up to date with %s", file)
		}
	}
}
