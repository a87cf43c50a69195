package fetcher_test

import (
	"bytes"
	"io"
	"time"

	"github.com/gracex-go/gracex/core/compat/overseer"
	"github.com/gracex-go/gracex/core/compat/overseer/fetcher"
)

// pulled is a program and its signature.
type pulled struct {
	io.Reader
	signature []byte
}

func (p pulled) Signature() ([]byte, error) { return p.signature, nil }

func ExampleFunc() {
	pull := func() (program, signature []byte, err error) { return nil, nil, nil } // from a queue, a database, ...
	overseer.Run(overseer.Config{
		Program: func(overseer.State) {},
		Fetcher: fetcher.Func(func() (io.Reader, error) {
			time.Sleep(time.Minute)
			program, signature, err := pull()
			if err != nil || program == nil {
				return nil, err
			}
			return pulled{bytes.NewReader(program), signature}, nil
		}),
		Keys: []string{"RWTcyZwm..."},
	})
}
