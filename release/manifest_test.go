//go:build linux

package release

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

// good is a manifest to which a test does something.
func good() string {
	return `{"name": "shop", "version": "1.5.0-rc.1+a~b", "serial": 42, "time": "2026-11-30T00:00:00Z",
	"files": [{"os": "linux", "arch": "amd64", "file": "shop linux.gz", "size": 3, "sha256": "` + zeros + `", "unpacked": {"size": 4, "sha256": "` + zeros + `"}},
	{"os": "linux", "arch": "arm64", "file": "shop-arm", "size": 3, "sha256": "` + zeros + `"}],
	"waves": [{"share": 0.01, "after": "0s"}, {"share": 1, "after": "2h"}], "revoked": ["` + zeros + `"], "later": {"is": "passed over"}}`
}

func TestParseManifest(t *testing.T) {
	m, err := ParseManifest([]byte(good()))
	if err != nil || m.Serial != 42 || len(m.Files) != 2 {
		t.Fatalf("%+v %v", m, err)
	}
	f, err := m.For("linux", "arm64")
	if err != nil || f.File != "shop-arm" {
		t.Errorf("%+v %v", f, err)
	}
	_, err = m.For("freebsd", "amd64")
	wants(t, err, ErrNotAccepted, "no file for freebsd/amd64, only for linux/amd64, linux/arm64")
}

func TestParseManifest_Refuses(t *testing.T) {
	for _, c := range []struct{ from, to, says string }{
		{`"name": "shop"`, `"name": "shop", "name": "other"`, "there twice"},
		{`"size": 3`, `"size": 3, "SIZE": 4`, "there twice"},
		{`"name": "shop"`, `"name": ""`, "name"},
		{`"name": "shop"`, `"name": "a/b"`, "other characters"},
		{`"name": "shop"`, `"name": "shop\u001b[2J"`, "other characters"},
		{`1.5.0-rc.1+a~b`, `..`, "begins with"},
		{`1.5.0-rc.1+a~b`, `../../etc`, "begins with"},
		{`1.5.0-rc.1+a~b`, `-v`, "begins with"},
		{`1.5.0-rc.1+a~b`, `1/2`, "other characters"},
		{`1.5.0-rc.1+a~b`, `1.\n5`, "other characters"},
		{`1.5.0-rc.1+a~b`, strings.Repeat("1", 65), "65 bytes"},
		{`"serial": 42`, `"serial": 0`, "serial 0"},
		{`"serial": 42`, `"serial": -1`, "serial -1"},
		{`"serial": 42`, `"serial": 4.5`, "cannot unmarshal"},
		{`"serial": 42`, `"serial": 99999999999999999999`, "cannot unmarshal"},
		{`"serial": 42`, `"serial": "42"`, "cannot unmarshal"},
		{`"size": 3`, `"size": 0`, "0 bytes"},
		{`"size": 3`, `"size": -3`, "-3 bytes"},
		{`"size": 3`, `"size": 9223372036854775807`, "bytes"},
		{`"size": 4`, `"size": 0`, "unpacked\" has 0 bytes"},
		{`"sha256": "0`, `"sha256": "X`, "no SHA-256"},
		{`"sha256": "00`, `"sha256": "0`, "no SHA-256"},
		{`["0`, `["g`, "revoked"},
		{`shop-arm`, `../shop`, "begins with a dot"},
		{`shop-arm`, `.shop`, "begins with a dot"},
		{`shop-arm`, `a/shop`, "has a folder"},
		{`shop-arm`, `a\\shop`, "has a folder"},
		{`shop-arm`, `a\u0000`, "control characters"},
		{`shop-arm`, `a\u202e`, "control characters"},
		{`shop-arm`, ``, "0 bytes"},
		{`shop linux.gz`, `shop linux`, "not packed by its name"},
		{`arm64`, `amd64`, "two files are for linux/amd64"},
		{`arm64`, `../arm`, "no GOOS and GOARCH"},
		{`"share": 1,`, `"share": 0.01,`, "shares rise"},
		{`"share": 1,`, `"share": 1.1,`, "shares rise"},
		{`"share": 0.01`, `"share": 0`, "shares rise"},
		{`"2h"`, `"0s"`, "later than the one before"},
		{`"0s"`, `"-1s"`, "later than the one before"},
		{`"2h"`, `"soon"`, "invalid duration"},
		{`"time": "2026-11-30T00:00:00Z",`, ``, "waves count from its time"},
		{`"later": {"is": "passed over"}`, `"later": ` + strings.Repeat("[", 20) + strings.Repeat("]", 20), "nested too deeply"},
		{`"passed over"}}`, `"passed over"}} {}`, "follows"},
		{`"passed over"}}`, `"passed over"}`, "unexpected"},
		{`passed over`, "\xff", "UTF-8"},
		{`passed over`, strings.Repeat("x", MaxManifest), "at most 65536"},
	} {
		raw := strings.Replace(good(), c.from, c.to, 1)
		if raw == good() {
			t.Errorf("%q is not in the manifest", c.from)
		}
		m, err := ParseManifest([]byte(raw))
		wants(t, err, ErrNotAccepted, c.says)
		if m.Name != "" {
			t.Errorf("%s: something was returned", c.to)
		}
	}
	for _, raw := range []string{"", "[]", "null", "1", `{"name": "shop"}`, "\x00", "{"} {
		if _, err := ParseManifest([]byte(raw)); err == nil {
			t.Errorf("%q was taken", raw)
		}
	}
}

// FuzzParseManifest: what is taken can be used in a path, and means the same when it is written again.
func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(good()))
	f.Add([]byte(`{"name":"a","version":"1","serial":1,"paused":true}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseManifest(raw)
		if err != nil {
			return
		}
		if !isID(idOf(m.Version, zeros)) {
			t.Fatalf("%q is no version", m.Version)
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseManifest(b)
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if c, _ := json.Marshal(again); !bytes.Equal(b, c) {
			t.Fatalf("%s and then %s", b, c)
		}
	})
}

func TestParseSums(t *testing.T) {
	line := func(name string) string { return zeros + "  " + name + "\n" }
	raw := line("shop_1.5.0_linux_amd64.tar.gz") + line("shop_1.5.0_linux_arm64_v8.0.tar.zst") + line("shop_1.5.0_Darwin_x86_64") + "\r\n" +
		line("shop_1.5.0_linux_amd64.deb") + line("shop_1.5.0_linux_amd64.tar.gz.sbom.json") + line("shop_1.5.0_linux_armv6.gz") +
		line("shop_1.5.0_linux_armv7.gz") + line("shopper_1.5.0_linux_amd64") + zeros + " *shop-freebsd-aarch64\n" + line("README.md")
	m, err := ParseSums([]byte(raw), "gracex-release shop 1.5.0 42")
	if err != nil || m.Name != "shop" || m.Version != "1.5.0" || m.Serial != 42 {
		t.Fatalf("%+v %v", m, err)
	}
	for system, file := range map[string]string{
		"linux/amd64": "shop_1.5.0_linux_amd64.tar.gz", "linux/arm64": "shop_1.5.0_linux_arm64_v8.0.tar.zst", "darwin/amd64": "shop_1.5.0_Darwin_x86_64",
		"freebsd/arm64": "shop-freebsd-aarch64", "linux/arm": "", "linux/386": "", "windows/amd64": "",
	} {
		goos, arch, _ := strings.Cut(system, "/")
		if f, _ := m.For(goos, arch); f.File != file {
			t.Errorf("for %s it is %q and not %q", system, f.File, file)
		}
	}
	for comment, says := range map[string]string{
		"": "minisign -t", "gracex-release shop 1.5.0": "minisign -t", "other shop 1.5.0 42": "minisign -t", "gracex-release shop ../x 42": "begins with",
		"gracex-release shop 1.5.0 0": "serial 0", "gracex-release shop 1.5.0 x": "invalid syntax", "gracex-release kiosk 1.5.0 42": "no file in it",
	} {
		_, err := ParseSums([]byte(raw), comment)
		wants(t, err, ErrNotAccepted, says)
	}
	for raw, says := range map[string]string{
		"x":                                    "not a hash and a file",
		zeros + " shop":                        "not a hash and a file",
		zeros[1:] + "  shop_linux_amd64":       "no SHA-256",
		line("../shop_linux_amd64"):            "begins with a dot",
		line("a/shop_linux_amd64"):             "has a folder",
		line("shop_linux_amd64\x1b"):           "control characters",
		line("README"):                         "no file in it",
		line("a") + line("a"):                  "there twice",
		"":                                     "no file in it",
		strings.Repeat("\n", MaxManifest+1):    "at most 65536",
		fmt.Sprintf("%s  %s", zeros, "\x00\n"): "control characters",
	} {
		_, err := ParseSums([]byte(raw), "gracex-release shop 1.5.0 42")
		wants(t, err, ErrNotAccepted, says)
	}
}
