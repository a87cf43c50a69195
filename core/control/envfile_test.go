package control

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestEnvironmentFile_IsReadAsSystemdDoes: the cases are those of systemd.exec(5), EnvironmentFile=. What systemd
// passes over is an error.
func TestEnvironmentFile_IsReadAsSystemdDoes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                           nil,
		"A=1\nB=2":                   {"A=1", "B=2"},
		"# A=1\n; B=2\n\nC=3\n":      {"C=3"},
		"A=1\r\nB=\"2\"\r\n\r\n":     {"A=1", "B=2"},
		"  A =  b c \t\r\n":          {"A=b c"},
		"A=\nB=":                     {"A=", "B="},
		"A=x=y":                      {"A=x=y"},
		`A=b"c" 'd'`:                 {`A=b"c" 'd'`},
		`A='b "c" \n' ` + "\nB=1":    {`A=b "c" \n`, "B=1"},
		`A="b \"c\" \$d \n" `:        {`A=b "c" $d \n`},
		"A='b\nc'\nB=\"d\ne\"":       {"A=b\nc", "B=d\ne"},
		"A=b \\\n  c\nB=\"d \\\ne\"": {"A=b   c", "B=d e"},
		`A=b\\c\ `:                   {`A=b\c `},
		`A="b" "c" d`:                {"A=bcd"},
		"A=$HOME":                    {"A=$HOME"},
		"A=ü":                        {"A=ü"},
		"# c \\\nA=1":                {"A=1"},
	} {
		if got, err := parseEnvironment(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q gave %q, %v; want %q", text, got, err, want)
		}
	}
	for text, part := range map[string]string{
		"A=1\nexport B=2": `2: "export B" is not the name of a variable`,
		"1A=2":            `1: "1A"`,
		"A=b\x00c":        "zero byte",
		"A\x00=b":         `1: "A\x00" is not the name`,
		"A=1\nB: 2\nC=3":  `2: "B: 2" is no assignment; write NAME=value`,
		"A=1\nB":          `2: "B" is no assignment`,
		"=2":              `1: "=2" is no assignment`,
		"A='1\nB=2\n":     "1: a quote in the value of A is not closed",
		"A=1\nB=\"2\\":    "2: a quote in the value of B is not closed",
		"\ufeffA=1":       `1: "\ufeffA" is not the name`,
		"\n1A='\n\n'":     `2: "1A" is not the name`,
	} {
		if got, err := parseEnvironment(text); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q gave %q, %v; want an error with %s", text, got, err, part)
		}
	}
}

// TestReadEnvironmentFile_EndsWhereAProcessCanHaveNoMore, and names a path that is no file.
func TestReadEnvironmentFile_EndsWhereAProcessCanHaveNoMore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "env")
	must.Do(t, os.WriteFile(path, []byte("A="+strings.Repeat("x", maxEnvironment)), 0o600))
	for path, part := range map[string]string{
		path: path + " has more than the ", dir: dir, path + "none": path + "none", os.DevNull: "",
	} {
		_, err := ReadEnvironmentFile(path)
		if (err == nil) != (part == "") || err != nil && !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %q", path, err, part)
		}
	}
}

// FuzzEnvironmentFile: whatever is read is an assignment that a process can have.
func FuzzEnvironmentFile(f *testing.F) {
	for _, s := range []string{"A=1\n", `A="b\`, "A='\n", "A=\\", "=", "#\\\nA=b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		env, err := parseEnvironment(text)
		if err != nil && env != nil {
			t.Fatalf("%q and %v", env, err)
		}
		for _, s := range env {
			if name, value, ok := strings.Cut(s, "="); !ok || !isName(name) || strings.ContainsRune(value, 0) {
				t.Fatalf("%q is no assignment", s)
			}
		}
	})
}
