package main

import (
	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/publish"
)

func newSign() *cobra.Command {
	var k keyFlags
	var m release.Manifest
	c := &cobra.Command{
		Use:   "sign manifest",
		Short: "Sign a release.json or a SHA256SUMS",
		Long: `Sign a release.json or a SHA256SUMS, after a look at whether hosts would accept it. The
signature is the manifest's name with .minisig at its end. A SHA256SUMS does not say what
it is: give --name, --version and --serial.`,
		Example: `  gracex release sign public/release.json --key release.key --field-key hosts.pub
  gracex release sign dist/SHA256SUMS --key release.key --name shop --version 1.5.0 --serial 42`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			key, field, err := k.read(c)
			if err != nil {
				return releaseError(err)
			}
			m, err := publish.Sign(args[0], key, field, m)
			if err != nil {
				return releaseError(err)
			}
			s := newScreen(c.OutOrStdout())
			if err := manifestLines(s, m, key.ID()); err != nil {
				return err
			}
			return s.line("signature  %s.minisig", args[0])
		},
	}
	k.add(c)
	f := c.Flags()
	f.StringVar(&m.Name, "name", "", "`name` of the product, for a SHA256SUMS")
	f.StringVar(&m.Version, "version", "", "`version`, for a SHA256SUMS")
	f.Int64Var(&m.Serial, "serial", 0, "`number` that rises with each release, for a SHA256SUMS")
	return c
}

func newVerify() *cobra.Command {
	var given []string
	var program string
	c := &cobra.Command{
		Use:   "verify directory|manifest",
		Short: "Say who has signed a release, what it is, and whether its files are right",
		Long: `Verify a release in a directory, or a manifest with the files that are beside it, as a host
does that has the public keys of --key. Files that are missing are named, and are no error.`,
		Example: `  gracex release verify public --key release.pub
  gracex release verify release.json --key RWTcyZwm...`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(given) == 0 {
				return usagef("--key is missing: the public key that hosts have, or its file")
			}
			keys, err := publicKeys(given)
			if err != nil {
				return releaseError(err)
			}
			ctx, stop := interruptible(c)
			defer stop()
			v, err := publish.Verify(ctx, args[0], keys, program)
			if v.Signer == "" || v.Manifest.Name == "" {
				return releaseError(err)
			}
			s := newScreen(c.OutOrStdout())
			if err := manifestLines(s, v.Manifest, publish.KeyID(v.Signer)); err != nil {
				return err
			}
			for _, f := range v.Files {
				state := ": right"
				switch {
				case f.Missing:
					state = ": not here"
				case f.Err != nil:
					state = ": WRONG"
				}
				if err := fileLine(s, f.File, state); err != nil {
					return err
				}
			}
			return releaseError(err)
		},
	}
	f := c.Flags()
	f.StringArrayVar(&given, "key", nil, "public `key` that hosts have, or its file; can be repeated")
	f.StringVar(&program, "program", "", "file `name` of the program; by default the product's name")
	return c
}
