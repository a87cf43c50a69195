package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/release/publish"
)

// maxPassword is how long a password can be, in bytes.
const maxPassword = 1 << 10

// password is the first line of a file, or what is typed at a terminal. For a new key it is typed twice, and empty if
// there is neither.
func password(c *cobra.Command, file string, isNew bool) (string, error) {
	if file != "" {
		return passwordIn(file)
	}
	f, ok := c.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		if isNew {
			return "", nil
		}
		return "", fmt.Errorf("%w is asked for on a terminal, and this is none: give --password-file", publish.ErrPassword)
	}
	prompt := "password of the key: "
	if isNew {
		prompt = "password of the new key, or nothing for none: "
	}
	word, err := ask(c, f, prompt)
	if err != nil || !isNew || word == "" {
		return word, err
	}
	again, err := ask(c, f, "the same again: ")
	if err == nil && again != word {
		err = errors.New("the two passwords differ")
	}
	return word, err
}

// passwordIn reads a file. Errors don't name it: it could be the password itself that somebody has given.
func passwordIn(file string) (string, error) {
	f, err := os.Open(file)
	if err == nil {
		defer f.Close()
		var line string
		line, err = bufio.NewReader(io.LimitReader(f, maxPassword)).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" && err == nil {
			err = errors.New("its first line is empty")
		}
		if err == nil {
			return line, nil
		}
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return "", fmt.Errorf("--password-file: the file can't be used: %w", err)
}

// ask reads a line that the terminal does not show. Ctrl-C ends it, and the terminal is as it was.
func ask(c *cobra.Command, f *os.File, prompt string) (string, error) {
	fd := int(f.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	ctx, stop := interruptible(c)
	defer stop()
	fmt.Fprint(c.ErrOrStderr(), prompt)
	type answer struct {
		word []byte
		err  error
	}
	typed := make(chan answer, 1)
	go func() {
		word, err := term.ReadPassword(fd)
		typed <- answer{word, err}
	}()
	select {
	case a := <-typed:
		fmt.Fprintln(c.ErrOrStderr())
		return string(a.word), a.err
	case <-ctx.Done():
		_ = term.Restore(fd, state)
		fmt.Fprintln(c.ErrOrStderr())
		return "", &exitError{code: control.ExitInterrupted, err: errors.New("interrupted")}
	}
}

// othersRead returns the mode of a key's file that others than its user can read; empty if they can't.
func othersRead(file string) string {
	fi, err := os.Stat(file)
	if err != nil || runtime.GOOS == "windows" || !fi.Mode().IsRegular() || fi.Mode()&0o077 == 0 {
		return ""
	}
	return fmt.Sprintf("%#o", fi.Mode().Perm())
}
