package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/release"
)

// sourceFlags say where releases come from, and which of them are genuine.
type sourceFlags struct {
	name      string
	keys      []string
	unsigned  bool
	tokenFile string
	ca        string
	api       string
	pre       bool
}

func (s *sourceFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.name, "name", "", "`name` of the product that is signed; left out, that of the program")
	f.StringArrayVar(&s.keys, "key", nil, "`public key` of minisign with which the releases are signed, or its file; can be\nrepeated, and any one of them will do")
	f.BoolVar(&s.unsigned, "unsigned", false, "accept what is not signed, from this machine only")
	f.StringVar(&s.tokenFile, "token-file", "", "`file` with a token for the server, which is sent to no other one")
	f.StringVar(&s.ca, "ca", "", "`file` with certificates of authorities beside the system's")
	f.StringVar(&s.api, "github-api", "", "`URL` of the API of a GitHub server of one's own")
	f.BoolVar(&s.pre, "prereleases", false, "take prereleases of GitHub, too")
}

// source is where a release comes from.
type source struct {
	from  release.Source // nil: the file at path
	path  string
	trust release.Trust // without a name
	name  string        // of the product; empty: the program's
}

// githubPrefix marks a repository on GitHub.
const githubPrefix = "github:"

// parse reads the argument, and the flags that go with it.
func (s *sourceFlags) parse(arg string) (*source, error) {
	src := &source{name: s.name, path: arg, trust: release.Trust{Unsigned: s.unsigned}}
	for _, k := range s.keys {
		text, err := keyText(k)
		if err != nil {
			return nil, err
		}
		src.trust.Keys = append(src.trust.Keys, text)
	}
	var options []release.WebOption
	if s.tokenFile != "" {
		options = append(options, release.TokenFile(s.tokenFile))
	}
	if s.ca != "" {
		options = append(options, release.CA(s.ca))
	}
	switch {
	case strings.HasPrefix(arg, githubPrefix):
		repo, tag, tagged := strings.Cut(strings.TrimPrefix(arg, githubPrefix), "@")
		var all []release.GitHubOption
		for _, o := range options {
			all = append(all, o)
		}
		if s.api != "" {
			all = append(all, release.API(s.api))
		}
		if s.pre {
			all = append(all, release.Prereleases())
		}
		if tagged {
			all = append(all, release.Tag(tag))
		}
		src.from = release.GitHub(repo, all...)
	case strings.HasPrefix(arg, "http://"), strings.HasPrefix(arg, "https://"):
		var all []release.HTTPOption
		for _, o := range options {
			all = append(all, o)
		}
		src.from = release.HTTP(arg, all...)
	case strings.Contains(arg, "://"):
		return nil, usagef("%q: a source is a file, a directory, an http(s):// URL or github:OWNER/REPO", arg)
	case hasManifest(arg):
		src.from = release.Dir(arg)
	default:
		if _, err := os.Stat(arg); err != nil {
			return nil, usagef("%w; a source is a file, a directory, an http(s):// URL or github:OWNER/REPO", err)
		}
		if len(src.trust.Keys) > 0 {
			return nil, usagef("--key: %s has no release.json that somebody could have signed; \"gracex deploy\" without --key is for a file at hand", arg)
		}
		return src, nil
	}
	return src, s.check(arg, src)
}

// check refuses what nobody has signed, unless it comes from this machine.
func (s *sourceFlags) check(arg string, src *source) error {
	switch {
	case len(src.trust.Keys) > 0 && s.unsigned:
		return usagef("--unsigned excludes --key")
	case len(src.trust.Keys) > 0:
		return nil
	case !s.unsigned:
		return usagef("%s: give --key, the public key with which its releases are signed", src.from)
	case !isHere(arg):
		return usagef("--unsigned is for a source on this machine: whoever answers for %s would decide what runs here", src.from)
	}
	return nil
}

// isHere reports whether nobody but this machine can answer for a source.
func isHere(arg string) bool {
	if !strings.Contains(arg, "://") {
		return !strings.HasPrefix(arg, githubPrefix)
	}
	u, err := url.Parse(arg)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return ip != nil && ip.IsLoopback()
}

// hasManifest reports whether a path is a directory with releases, or a manifest.
func hasManifest(path string) bool {
	for _, name := range []string{"release.json", "SHA256SUMS"} {
		if _, err := os.Stat(filepath.Join(path, name)); err == nil || filepath.Base(path) == name {
			return true
		}
	}
	return false
}

// keyText returns a key that is given by itself or by its file.
func keyText(arg string) (string, error) {
	b, err := os.ReadFile(arg)
	switch {
	case err == nil:
		return string(b), nil
	case errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(arg, "RW"): // as minisign's keys begin
		return arg, nil
	}
	return "", usagef("--key: %w", err)
}

// stage brings the release to the store.
func (s *source) stage(ctx context.Context, p *place, f *stageFlags, events func(release.Event)) (release.Release, error) {
	if s.from == nil {
		return p.store.StageFile(ctx, s.path, f.version, f.options(), events)
	}
	if f.version != "" {
		return release.Release{}, usagef("--version is for a file at hand; %s says its own", s.from)
	}
	trust := s.trust
	if trust.Name = s.name; trust.Name == "" {
		trust.Name = filepath.Base(p.store.Program())
	}
	return p.store.Stage(ctx, s.from, trust, f.options(), events)
}
