package text

import (
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCut_EndsWhereACharacterDoes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{
		{"short", 5, "short"},
		{"longer", 5, "lo..."},
		{"日本語です", 10, "日本..."},
		{"日本語です", 9, "日本..."},
		{"日本語です", 8, "日..."},
		{"\xff\xfe text", 20, "? text"},
		{strings.Repeat("\x80", 20), 8, "?..."},
		{"", 3, ""},
	} {
		if got := Cut(tt.in, tt.limit); got != tt.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
		}
	}
}

// hostile is what would do something to a terminal: a title, a clipboard, CSI in one byte and in two, a bell, a line,
// the direction of text, and what does not show.
const hostile = "\x1b]0;owned\a\x1b]52;c;ZQ==\a\x9b2J\u009b2J\x7f\r\n\u202eevil\u2066\u200b\u2028\U000e0001\v"

func TestPrintable_LeavesNothingThatATerminalObeys(t *testing.T) {
	t.Parallel()
	if got, want := Printable("\x1b[31m"+"é\t\u202e\x9b\n"), `\x1b[31mé`+"\t"+`\u202e\x9b\n`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for name, f := range map[string]func(string) string{"Printable": Printable, "Lines": Lines} {
		got := f("plain " + hostile)
		if name == "Lines" {
			got = strings.ReplaceAll(got, "\n", "")
		}
		if i := strings.IndexFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 || !utf8.ValidString(got) {
			t.Errorf("%s leaves %q", name, got)
		}
		if f(f(hostile)) != f(hostile) {
			t.Errorf("%s escapes what it has escaped", name)
		}
	}
}

func TestJSON_MeansTheSame(t *testing.T) {
	t.Parallel()
	want := map[string]string{"k\u202e": hostile + "\U0001f600 <a>", "plain": "é\t"}
	b, err := json.MarshalIndent(want, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	out := JSON(b)
	if i := strings.IndexFunc(string(out), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("%q is left in %q", out[i:], out)
	}
	var got map[string]string
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	for k, v := range want {
		if got[k] != strings.ToValidUTF8(v, "\ufffd") {
			t.Errorf("%q, want %q", got[k], v)
		}
	}
}

func TestError_WrapsWhatItWas(t *testing.T) {
	t.Parallel()
	if Error(nil) != nil {
		t.Error("an error of none")
	}
	plain := errors.New("plain")
	if !errors.Is(plain, Error(plain)) { // the same one
		t.Error("an error that is printable is another one")
	}
	err := Error(&fs.PathError{Op: "open", Path: hostile + strings.Repeat("x", 2*MaxExplained), Err: fs.ErrNotExist})
	if !errors.Is(err, fs.ErrNotExist) || !errors.As(err, new(*fs.PathError)) {
		t.Errorf("%v hides its cause", err)
	}
	if s := err.Error(); strings.ContainsAny(s, "\x1b\n\x7f") || len(s) > 2*MaxExplained {
		t.Errorf("%d bytes: %.200q", len(s), s)
	}
}

// FuzzCut holds that what is cut fits, and is text, in JSON too.
func FuzzCut(f *testing.F) {
	for _, s := range []string{"", "reason", hostile, "日本語", strings.Repeat("<", MaxReason+1), strings.Repeat("\x80", 300)} {
		f.Add(s, uint16(MaxName))
		f.Add(s, uint16(3))
	}
	f.Fuzz(func(t *testing.T, s string, limit uint16) {
		most := max(int(limit), 3)
		got := Cut(s, most)
		if len(got) > most || !utf8.ValidString(got) {
			t.Fatalf("Cut(%q, %d) = %q", s, most, got)
		}
		if len(s) <= most && utf8.ValidString(s) && got != s {
			t.Fatalf("%q became %q", s, got)
		}
		if p := Printable(s); strings.IndexFunc(p, func(r rune) bool { return r != '\t' && !unicode.IsPrint(r) }) >= 0 {
			t.Fatalf("Printable(%q) = %q", s, p)
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back string
		if err := json.Unmarshal(JSON(b), &back); err != nil || utf8.ValidString(s) && back != s {
			t.Fatalf("%q came back as %q: %v", s, back, err)
		}
	})
}
