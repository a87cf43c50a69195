//go:build !linux

package spawn

import "errors"

var errNotKept = errors.New("this system does not show it")

func kernelEnviron() ([]string, error) { return nil, errNotKept }
func kernelArgs() ([]string, error)    { return nil, errNotKept }
