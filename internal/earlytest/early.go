// Package earlytest does what packages of programs do while they are initialized. Like them it is initialized before
// package core, which waits for net/http. EARLY_TEST says what it does, by words with blanks between them:
//
//	flags   the program ends as flag.Parse ends it, if -graceful is among the arguments
//	args    os.Args loses its last element, as in a program that takes its own flags out
//	dotenv  a file .env is loaded, as by godotenv/autoload: what is set already wins
//	chdir   the directory of the program becomes the working directory
//	child   a process is started that lives until its standard input, which is the program's, ends
//	app     so is the program itself, without EARLY_TEST and with APP_COLOR=helper
//	gate    it waits until somebody writes to the FIFO "gate"
//	end     the program ends, if there is a file "end"
package earlytest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const env = "EARLY_TEST"

func init() {
	for _, what := range strings.Fields(os.Getenv(env)) {
		if err := do(what); err != nil {
			fmt.Fprintln(os.Stderr, "earlytest:", err)
			os.Exit(2)
		}
	}
}

func do(what string) error {
	switch what {
	case "flags":
		if slices.Contains(os.Args, "-graceful") {
			return fmt.Errorf("flag provided but not defined: -graceful: %q", os.Args)
		}
	case "args":
		os.Args = os.Args[:max(len(os.Args)-1, 1)]
	case "dotenv":
		return loadEnv(".env")
	case "chdir":
		self, err := os.Executable()
		if err != nil {
			return err
		}
		return os.Chdir(filepath.Dir(self))
	case "child":
		cmd := exec.Command("cat")
		cmd.Stdin = os.Stdin
		return cmd.Start()
	case "app":
		self, err := os.Executable()
		if err != nil {
			return err
		}
		cmd := exec.Command(self, os.Args[1:]...)
		cmd.Env = append(os.Environ(), env+"=", "APP_COLOR=helper")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		return cmd.Start()
	case "gate":
		_, err := os.ReadFile("gate")
		return err
	case "end":
		if _, err := os.Stat("end"); err == nil {
			return errors.New("end")
		}
	default:
		return fmt.Errorf("%s: %q is no word that it knows", env, what)
	}
	return nil
}

func loadEnv(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "=")
		if _, set := os.LookupEnv(name); !set {
			if err := os.Setenv(name, value); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}
