package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/publish"
)

func newPublish() *cobra.Command {
	var o publish.Options
	var k keyFlags
	var waves, expires string
	c := &cobra.Command{
		Use:   "publish [directory]",
		Short: "Make a signed release of the programs in a directory",
		Long: `Make a signed release. The directory is the output of goreleaser (dist), or has programs or
archives with names such as shop_linux_amd64 or shop_linux_arm64.tar.gz. The folder of -o
then has release.json, release.json.minisig and the files, for any HTTP server, GitHub
release or bucket. Each file is looked at as a host will look at it: the system it is for,
the one program in an archive, and that gracex is in it.

The manifest and its signature are written last. If the files are copied elsewhere, copy
them in that order, too.

Without a directory the release in the folder is offered again: paused, to go on without
--paused, with other --wave, or with a program revoked. Its waves begin anew.`,
		Example: `  gracex release publish dist --key release.key -o public
  gracex release publish bin --name shop --version 1.5.0 --key release.key --wave 1%@0s,10%@30m,100%@2h -o public
  gracex release publish --paused --key release.key -o public`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if len(args) > 0 {
				if o.Dir = args[0]; o.Dir == "" {
					return usagef("the directory's name is empty")
				}
			}
			if o.Out == "" {
				return usagef("-o is missing: the folder for the release")
			}
			if c.Flags().Changed("serial") && o.Serial < 1 {
				return usagef("--serial %d: 1 is the first", o.Serial)
			}
			if o.Waves, err = parseWaves(waves); err != nil {
				return usagef("--wave: %w", err)
			}
			if o.Expires, err = parseExpires(expires, time.Now()); err != nil {
				return usagef("--expires: %w", err)
			}
			return releaseError(publishRelease(c, &k, o))
		},
	}
	f := c.Flags()
	f.StringVarP(&o.Out, "output", "o", "", "`folder` that offers the release")
	k.add(c)
	f.StringVar(&o.Name, "name", "", "`name` of the product; by default the project's in goreleaser")
	f.StringVar(&o.Version, "version", "", "`version`; by default that of goreleaser")
	f.StringVar(&o.Program, "program", "", "file `name` of the program; by default the product's name")
	f.Int64Var(&o.Serial, "serial", 0, "`number` that rises with each release; by default one more than before")
	f.StringVar(&o.Previous, "previous", "", "manifest `file` of the release before, with its signature beside it; for a folder\nthat does not have it")
	f.StringVar(&expires, "expires", "", "when hosts no longer accept it: a `time` such as 720h, 2027-01-31 or\n2027-01-31T12:00:00Z; it never stops what runs")
	f.StringVar(&waves, "wave", "", "`shares` of the hosts and when each begins, such as 1%@0s,10%@30m,100%@2h")
	f.BoolVar(&o.Paused, "paused", false, "no host starts it, nor an earlier one")
	f.StringArrayVar(&o.Revoke, "revoke", nil, "`SHA-256` of a program that no host is to start again; can be repeated; it stays\nrevoked in later releases")
	f.BoolVar(&o.Sums, "sums", false, "write SHA256SUMS instead of release.json")
	f.BoolVar(&o.KeepNames, "keep-names", false, "leave files their names though the version is not in them; for a folder that is\nnew for each version, as a GitHub release is")
	return c
}

func publishRelease(c *cobra.Command, k *keyFlags, o publish.Options) (err error) {
	if o.Key, o.FieldKeys, err = k.read(c); err != nil {
		return err
	}
	ctx, stop := interruptible(c)
	defer stop()
	r, err := publish.Publish(ctx, o)
	for _, note := range r.Notes {
		warn(c, "%s", control.Printable(note))
	}
	if err != nil {
		return err
	}
	s := newScreen(c.OutOrStdout())
	if err := manifestLines(s, r.Manifest, o.Key.ID()); err != nil {
		return err
	}
	for _, f := range r.Manifest.Files {
		if err := fileLine(s, f, ""); err != nil {
			return err
		}
	}
	if r.Unchanged {
		return s.line("%s was published before", filepath.Base(r.File))
	}
	return s.line("published  %s", r.File)
}

// manifestLines say what a manifest is about.
func manifestLines(s *screen, m release.Manifest, signer string) error {
	var more []string
	if m.Paused {
		more = append(more, "paused")
	}
	if !m.Expires.IsZero() {
		more = append(more, "expires "+m.Expires.Format(time.RFC3339))
	}
	for _, w := range m.Waves {
		more = append(more, fmt.Sprintf("%g %% after %s", w.Share*100, w.After))
	}
	if n := len(m.Revoked); n > 0 {
		more = append(more, fmt.Sprintf("%d revoked", n))
	}
	if err := s.line("release    %s %s, serial %d, signed by %s", m.Name, m.Version, m.Serial, signer); err != nil || len(more) == 0 {
		return err
	}
	return s.line("           %s", strings.Join(more, ", "))
}

// fileLine is about one file.
func fileLine(s *screen, f release.File, state string) error {
	sum, size := f.SHA256, f.Size
	if f.Unpacked != nil {
		sum = f.Unpacked.SHA256
	}
	text := fmt.Sprintf("  %-14s %s", f.OS+"/"+f.Arch, control.Printable(f.File))
	if size > 0 {
		text += fmt.Sprintf(", %.1f MiB", float64(size)/mebi)
	}
	return s.line("%s, program %s%s", text, sum, state)
}

// parseWaves reads 1%@0s,10%@30m,100%@2h.
func parseWaves(text string) (waves []release.Wave, err error) {
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		share, after, ok := strings.Cut(part, "@")
		number, percent := strings.CutSuffix(share, "%")
		if !ok || !percent {
			return nil, fmt.Errorf("%q is not like 10%%@30m", part)
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || !(n > 0 && n <= 100) {
			return nil, fmt.Errorf("%q is no share of more than 0 and up to 100 %%", share)
		}
		d, err := time.ParseDuration(after)
		if err != nil || d < 0 {
			return nil, fmt.Errorf("%q is no duration such as 30m", after)
		}
		if k := len(waves); k > 0 {
			before, _ := time.ParseDuration(waves[k-1].After)
			if n/100 <= waves[k-1].Share || d <= before {
				return nil, fmt.Errorf("%q does not come after the wave before it, with more hosts", part)
			}
		}
		waves = append(waves, release.Wave{Share: n / 100, After: after})
	}
	return waves, nil
}

// parseExpires reads a duration from now on, a day or a time. A day is over at its end, in UTC.
func parseExpires(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(d).UTC().Truncate(time.Second), nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t.AddDate(0, 0, 1), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%q is neither a duration such as 720h nor a time such as 2027-01-31 or 2027-01-31T12:00:00Z", text)
	}
	return t.UTC(), nil
}
