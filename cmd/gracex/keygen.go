package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/release/publish"
)

func newKeygen() *cobra.Command {
	var dir, name, passwordFile string
	c := &cobra.Command{
		Use:   "keygen",
		Short: "Make the key pair that signs releases",
		Long: `Make the key pair that signs releases, in the form of minisign. The private key stays with
who makes releases. The public key goes to the hosts. An existing file is never written
over. To encrypt a key takes some seconds and 1 GiB of memory.`,
		Example: `  gracex release keygen -o keys
  gracex release keygen --name shop --password-file /run/secrets/shop`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return releaseError(keygen(c, dir, name, passwordFile))
		},
	}
	f := c.Flags()
	f.StringVarP(&dir, "output", "o", ".", "`directory` for the two files")
	f.StringVar(&name, "name", "release", "`name` of the files, without .key and .pub")
	addPasswordFile(c, &passwordFile)
	return c
}

func keygen(c *cobra.Command, dir, name, passwordFile string) error {
	if name == "" || name != filepath.Base(name) {
		return usagef("--name %q is no name of a file", name)
	}
	word, err := password(c, passwordFile, true)
	if err != nil {
		return err
	}
	key, err := publish.NewKey()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	private, public, err := key.Write(dir, name, word)
	if err != nil {
		return err
	}
	if word == "" {
		warn(c, "%s has no password: who can read it can make releases", private)
	}
	return newScreen(c.OutOrStdout()).line(`%s  the private key %s; keep it secret, and a copy of it in a safe place
%s  the public key, for the hosts:

  gracex deploy URL --key %s`, private, key.ID(), public, key.Public())
}
