package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
)

// bench is a directory in which releases are made.
type bench struct {
	t   *testing.T
	dir string
}

func (b bench) at(elem ...string) string { return filepath.Join(append([]string{b.dir}, elem...)...) }

// run runs "gracex release". An argument that begins with @ is a path in the directory. No secret is ever in what it
// writes.
func (b bench) run(code int, texts []string, args ...string) string {
	b.t.Helper()
	for i, a := range args {
		if name, ok := strings.CutPrefix(a, "@"); ok {
			args[i] = b.at(name)
		}
	}
	var out, errs bytes.Buffer
	got := execute(append([]string{"release"}, args...), stdio{strings.NewReader(""), &out, &errs})
	all := out.String() + errs.String()
	if got != code {
		b.t.Errorf("gracex release %q: exit status %d, want %d\n%s", args, got, code, all)
	}
	for _, text := range texts {
		if !strings.Contains(all, text) {
			b.t.Errorf("gracex release %q says nothing of %q\n%s", args, text, all)
		}
	}
	if strings.Contains(all, "hunter2") || strings.Contains(all, b.secret()) {
		b.t.Errorf("gracex release %q tells a secret:\n%s", args, all)
	}
	return all
}

// secret is what nobody is to see of the private key.
func (b bench) secret() string {
	key, err := os.ReadFile(b.at("keys", "release.key"))
	if err != nil {
		return "there is no key yet"
	}
	return string(key[120:160])
}

// TestRelease: a key is made, a release is published, paused, verified and signed; and what is wrong is said.
func TestRelease(t *testing.T) {
	t.Parallel()
	b := bench{t, t.TempDir()}
	self := must.Get(os.ReadFile(must.Get(os.Executable())(t)))(t) // has gracex in it
	system := runtime.GOOS + "/" + runtime.GOARCH
	program := b.at("bin", "shop_"+strings.Replace(system, "/", "_", 1))
	must.Do(t, os.Mkdir(b.at("bin"), 0o755))
	must.Do(t, os.WriteFile(program, self, 0o755))

	b.run(control.ExitOK, []string{"warning: ", "has no password", "the private key", "gracex deploy URL --key RW"}, "keygen", "-o", "@keys")
	b.run(exitNotTried, []string{"never written over"}, "keygen", "-o", "@keys")
	b.run(control.ExitUsage, []string{"--name"}, "keygen", "-o", "@keys", "--name", "../x")
	b.run(exitNotTried, []string{"--password-file: the file can't be used: no such file"}, "keygen", "-o", "@other", "--password-file", "hunter2")
	b.run(control.ExitOK, nil, "keygen", "-o", "@keys", "--name", "next")

	publish := func(code int, texts []string, more ...string) {
		t.Helper()
		b.run(code, texts, append([]string{"publish", "@bin", "--name", "shop", "--version", "1.5.0", "-o", "@public", "--key", "@keys/release.key"}, more...)...)
	}
	publish(control.ExitOK, []string{"shop 1.5.0, serial 1, signed by ", "1 % after 0s, 100 % after 2h", system, "MiB", "published "}, "--wave", "1%@0s,100%@2h", "--expires", "2099-01-31")
	publish(control.ExitOK, []string{"was published before"}, "--serial", "1", "--wave", "1%@0s,100%@2h", "--expires", "2099-02-01T01:00:00+01:00")
	publish(exitNotAccepted, []string{"serial 1 is published already"}, "--serial", "1")
	publish(control.ExitOK, []string{"serial 2", "warning: the waves end with 10 %"}, "--wave", "10%@0s")
	b.run(control.ExitOK, []string{"serial 3", "paused"}, "publish", "--paused", "-o", "@public", "--key", "@keys/release.key")
	publish(exitNotAccepted, []string{"hosts would not accept it"}, "--field-key", "@keys/next.pub")
	publish(exitNotTried, []string{"it is the private key"}, "--field-key", "@keys/next.key")
	for _, wrong := range []string{"1%", "10%@0s,5%@1h", "0%@0s", "101%@0s", "1%@later", "1%@0s,2%@0s", "1@0s", "NaN%@0s"} {
		publish(control.ExitUsage, []string{"--wave"}, "--wave", wrong)
	}
	publish(control.ExitUsage, []string{"--expires"}, "--expires", "tomorrow")
	publish(control.ExitUsage, []string{"--serial"}, "--serial", "0")
	b.run(control.ExitUsage, []string{"-o is missing"}, "publish", "@bin", "--key", "@keys/release.key")
	b.run(control.ExitUsage, []string{"--key is missing"}, "publish", "@bin", "-o", "@public")
	b.run(exitNotTried, []string{"no such file"}, "publish", "@bin", "-o", "@public", "--key", "@none")
	b.run(exitNotTried, []string{"make another key"}, "publish", "@bin", "-o", "@public", "--key", strings.Split(string(must.Get(os.ReadFile(b.at("keys", "release.key")))(t)), "\n")[1])

	b.run(control.ExitOK, []string{"shop 1.5.0, serial 3", system, ": right"}, "verify", "@public", "--key", "@keys/release.pub", "--key", "@keys/next.pub")
	b.run(exitNotAccepted, []string{"not signed"}, "verify", "@public", "--key", "@keys/next.pub")
	b.run(control.ExitUsage, []string{"--key is missing"}, "verify", "@public")
	b.run(exitNotTried, []string{"no such file"}, "verify", "@none", "--key", "@keys/next.pub")
	b.run(control.ExitOK, []string{"release.json.minisig"}, "sign", "@public/release.json", "--key", "@keys/next.key", "--field-key", "@keys/next.pub")
	b.run(control.ExitOK, nil, "verify", "@public/release.json", "--key", "@keys/next.pub")
	must.Do(t, os.WriteFile(b.at("public", "shop_1.5.0_"+runtime.GOOS+"_"+runtime.GOARCH), self[1:], 0o644))
	b.run(exitNotAccepted, []string{": WRONG", "the manifest says"}, "verify", "@public", "--key", "@keys/next.pub")

	weak := filepath.Join("..", "..", "release", "publish", "testdata", "weak.key")
	b.run(exitNotTried, []string{"give --password-file"}, "sign", "@public/release.json", "--key", weak)
	must.Do(t, os.WriteFile(b.at("word"), []byte("hunter2\n"), 0o600))
	b.run(exitNotTried, []string{"password is wrong"}, "sign", "@public/release.json", "--key", weak, "--password-file", "@word")
	must.Do(t, os.WriteFile(b.at("word"), []byte("not a secret\r\nmore"), 0o600))
	b.run(control.ExitOK, nil, "sign", "@public/release.json", "--key", weak, "--password-file", "@word")
	if runtime.GOOS != "windows" {
		must.Do(t, os.Chmod(b.at("keys", "next.key"), 0o644))
		b.run(control.ExitOK, []string{"warning: ", "chmod 600"}, "sign", "@public/release.json", "--key", "@keys/next.key")
	}
}

func TestParseExpires(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 4, 0, 0, 5, time.UTC)
	for text, want := range map[string]string{"24h": "2026-12-01T04:00:00Z", "2027-01-31": "2027-02-01T00:00:00Z", "2027-01-31T12:00:00+01:00": "2027-01-31T11:00:00Z"} {
		if got, err := parseExpires(text, now); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

// TestRelease_Page runs the commands of docs/publishing.md one after the other.
func TestRelease_Page(t *testing.T) {
	t.Parallel()
	b := bench{t, t.TempDir()}
	self := must.Get(os.ReadFile(must.Get(os.Executable())(t)))(t)
	system := runtime.GOOS + "_" + runtime.GOARCH
	for name, text := range map[string][]byte{
		"bin/shop_" + system: self, "dist/shop": self, "dist/metadata.json": []byte(`{"project_name":"shop","version":"1.5.0"}`),
		"dist/artifacts.json": []byte(`[{"name":"shop","path":"dist/shop","goos":"` + runtime.GOOS + `","goarch":"` + runtime.GOARCH + `","type":"Binary","extra":{"Binary":"shop"}}]`),
	} {
		must.Do(t, os.MkdirAll(filepath.Dir(b.at(name)), 0o755))
		must.Do(t, os.WriteFile(b.at(name), text, 0o755))
	}
	must.Do(t, os.Symlink("public", b.at("last")))
	page := string(must.Get(os.ReadFile(filepath.Join("..", "..", "docs", "publishing.md")))(t))
	commands := 0
	for line := range strings.Lines(page) {
		args, found := strings.CutPrefix(strings.TrimSpace(line), "gracex release ")
		if !found || !strings.HasPrefix(line, "    ") {
			continue
		}
		commands++
		words := strings.Fields(args)
		for i, w := range words {
			if dir, _, _ := strings.Cut(w, "/"); i > 0 && slices.Contains([]string{"keys", "dist", "bin", "public", "last", "fresh", "sums"}, dir) {
				words[i] = "@" + w
			}
		}
		b.run(control.ExitOK, nil, words...)
	}
	if commands < 10 {
		t.Errorf("the page has %d commands", commands)
	}
}
