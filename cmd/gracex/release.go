package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/release/publish"
)

func newRelease() *cobra.Command {
	c := &cobra.Command{
		Use:   "release",
		Short: "Make releases: a key, a signed manifest, a folder that any HTTP server can offer",
		Long: `Make the releases that "gracex deploy" and "gracex follow" accept. No app has to run.

Exit status:
  0    it worked
  2    the command line is wrong
  7    hosts would not accept the release, or it contradicts what was published before;
       the folder offers what it offered
  8    a file, a key or a password can't be read, or a file can't be written
  130  interrupted by Ctrl-C`,
		Example: `  gracex release keygen -o keys
  gracex release publish dist --key keys/release.key -o public`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newKeygen(), newPublish(), newSign(), newVerify())
	return c
}

// releaseError gives an error of package publish its exit status.
func releaseError(err error) error {
	var e *exitError
	switch {
	case err == nil || errors.As(err, &e):
		return err
	case errors.Is(err, context.Canceled):
		return &exitError{code: control.ExitInterrupted, err: errors.New("interrupted; the folder offers what it offered")}
	case errors.Is(err, publish.ErrRefused):
		return &exitError{code: exitNotAccepted, err: err}
	}
	return &exitError{code: exitNotTried, err: err}
}

// warn writes a line that does not change the exit status.
func warn(c *cobra.Command, format string, a ...any) {
	fmt.Fprintf(c.ErrOrStderr(), "warning: "+format+"\n", a...)
}

// keyFlags say which key signs.
type keyFlags struct {
	file, password string
	field          []string
}

func (k *keyFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&k.file, "key", "", "`file` of the private key, as minisign or keygen writes it")
	addPasswordFile(c, &k.password)
	f.StringArrayVar(&k.field, "field-key", nil, "public `key` that hosts have now, or its file; can be repeated; a private\nkey that none of them belongs to is refused")
}

func addPasswordFile(c *cobra.Command, file *string) {
	c.Flags().StringVar(file, "password-file", "", "`file` whose first line is the private key's password; without it the password\nis asked for on a terminal")
}

// read returns the private key and the public ones in the field.
func (k *keyFlags) read(c *cobra.Command) (key *publish.Key, field []string, err error) {
	if k.file == "" {
		return nil, nil, usagef("--key is missing: the file of the private key; gracex release keygen makes one")
	}
	if field, err = publicKeys(k.field); err != nil {
		return nil, nil, err
	}
	key, err = publish.ReadKey(k.file, func() (string, error) { return password(c, k.password, false) })
	if err != nil {
		return nil, nil, err
	}
	if open := othersRead(k.file); open != "" {
		warn(c, "%s can be read by other users (mode %s): chmod 600 %s", k.file, open, k.file)
	}
	return key, field, nil
}

func publicKeys(given []string) (keys []string, err error) {
	for _, text := range given {
		key, err := publish.PublicKey(text)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}
