package release

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// commentWord begins the trusted comment of a SHA256SUMS.minisig that is a manifest.
const commentWord = "gracex-release"

// ParseSums reads a SHA256SUMS as a manifest, as sha256sum and goreleaser write it. Its trusted comment, which the
// signature covers too, has to be "gracex-release NAME VERSION SERIAL". A file is the program if its name is
// NAME, with the system and the processor after it, such as shop_1.5.0_linux_amd64.tar.gz or shop-linux-amd64; other
// files are passed over. Sizes are not known. The error wraps ErrNotAccepted.
func ParseSums(raw []byte, comment string) (Manifest, error) {
	m, err := parseSums(raw, comment)
	if err != nil {
		return Manifest{}, refuse("SHA256SUMS: %w", err)
	}
	return m, nil
}

func parseSums(raw []byte, comment string) (m Manifest, err error) {
	words := strings.Fields(comment)
	if len(words) != 4 || words[0] != commentWord {
		return m, fmt.Errorf("the trusted comment of its signature is %q; sign it with minisign -t '%s NAME VERSION SERIAL'", comment, commentWord)
	}
	m.Name, m.Version = words[1], words[2]
	if m.Serial, err = strconv.ParseInt(words[3], 10, 64); err != nil {
		return m, fmt.Errorf("the serial in its trusted comment: %w", err)
	}
	if err := errors.Join(checkWord("name", m.Name), checkWord("version", m.Version)); err != nil {
		return m, err
	}
	if m.Serial < 1 {
		return m, fmt.Errorf("serial %d, and 1 is the first", m.Serial)
	}
	if len(raw) > MaxManifest {
		return m, fmt.Errorf("%d bytes, and at most %d are allowed", len(raw), MaxManifest)
	}
	names := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, MaxManifest+1)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		if line == "" {
			continue
		}
		sum, name, ok := strings.Cut(line, " ")
		if !ok || len(name) < 2 || name[0] != ' ' && name[0] != '*' {
			return m, fmt.Errorf("%q is not a hash and a file", line)
		}
		name = name[1:]
		if err := errors.Join(checkSum(name, sum), checkFileName(name)); err != nil {
			return m, err
		}
		if names[name] {
			return m, fmt.Errorf("%q is there twice", name)
		}
		names[name] = true
		if goos, arch, ok := systemOf(m.Name, name); ok {
			m.Files = append(m.Files, File{OS: goos, Arch: arch, File: name, SHA256: sum})
		}
	}
	switch {
	case lines.Err() != nil:
		return m, lines.Err()
	case len(m.Files) == 0:
		return m, fmt.Errorf("no file in it has a name such as %s_linux_amd64.tar.gz", m.Name)
	case len(m.Files) > maxFiles:
		return m, fmt.Errorf("%d files, and at most %d are allowed", len(m.Files), maxFiles)
	}
	return m, nil
}

// How systems and processors are named in files, beside GOOS and GOARCH.
var (
	systemNames = map[string]string{"linux": "linux", "darwin": "darwin", "macos": "darwin", "freebsd": "freebsd", "windows": "windows"}
	archNames   = map[string]string{
		"amd64": "amd64", "x86": "", "arm64": "arm64", "aarch64": "arm64", "386": "386", "i386": "386", "arm": "arm", "armv5": "arm",
		"armv6": "arm", "armv7": "arm", "riscv64": "riscv64", "ppc64le": "ppc64le", "s390x": "s390x", "loong64": "loong64",
		"mips": "mips", "mipsle": "mipsle", "mips64": "mips64", "mips64le": "mips64le",
	}
)

// systemOf returns for which system a file is, by its name.
func systemOf(program, file string) (goos, arch string, ok bool) {
	rest, ok := strings.CutPrefix(file, program)
	if !ok || rest == "" || !strings.ContainsRune("-_.", rune(rest[0])) {
		return "", "", false
	}
	rest = strings.TrimSuffix(strings.ToLower(unpackedName(rest)), ".exe")
	rest = strings.ReplaceAll(rest, "x86_64", "amd64")
	words := strings.FieldsFunc(rest, func(r rune) bool { return strings.ContainsRune("-_.", r) })
	for i, w := range words {
		if s := systemNames[w]; s != "" && goos == "" {
			goos = s
			continue
		}
		if a := archNames[w]; a != "" && arch == "" {
			arch = a
			// amd64_v1 and arm64_v8.0 of goreleaser may follow, and nothing else: it would be a signature, a list
			// of parts, or a package.
			for _, more := range words[i+1:] {
				if systemNames[more] == "" && strings.Trim(more, "v0123456789") != "" {
					return "", "", false
				}
			}
		}
	}
	return goos, arch, goos != "" && arch != ""
}
