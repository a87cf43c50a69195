//go:build darwin || freebsd

package release

import "os"

func isNoexec(*os.File) bool { return false }

func capabilities(string) ([]byte, error) { return nil, nil }

func capabilitiesOf(*os.File) ([]byte, error) { return nil, nil }

func setCapabilities(*os.File, []byte) error { return nil }

func running() []os.FileInfo { return nil }

func programOf(int) os.FileInfo { return nil }
