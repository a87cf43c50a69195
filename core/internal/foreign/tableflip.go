package foreign

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

const (
	envTableflip = "TABLEFLIP_HAS_PARENT_7DIU3"
	readyPipe    = first
	namesPipe    = first + 1
	notifyReady  = 42
)

const (
	// namesWait bounds the reading of the names, which an old process has written already or is about to.
	namesWait = 10 * time.Second
	// maxNames bounds them, in bytes.
	maxNames = 1 << 20
)

// tableflip is github.com/cloudflare/tableflip: the old process waits for a byte on a pipe, and names the
// sockets on another one, which stays open as long as it lives.
var tableflip = protocol{
	name:  "tableflip",
	vars:  []string{envTableflip},
	shown: func(in Surroundings) bool { return in.has(envTableflip) },
	read: func(in Surroundings, s *Start) error {
		if err := exactly(in, envTableflip, "yes"); err != nil {
			return err
		}
		s.Parent = &Parent{Tell: tellTableflip}
		s.open = s.readNames
		return nil
	},
}

// kinds are tableflip's words.
var kinds = map[string]wire.Kind{
	"listener": wire.KindListener, "packet": wire.KindPacket, "conn": wire.KindConn, "fd": wire.KindFile,
}

// readNames reads what the descriptors are.
func (s *Start) readNames() error {
	for _, n := range []int{readyPipe, namesPipe} {
		if _, err := fd.PipeID(n); err != nil {
			return fmt.Errorf("%s: %w; %s", s.sign(), err, byHand)
		}
	}
	fd.CloseOnExec(readyPipe)
	names, err := readGob(namesPipe)
	if err != nil {
		return fmt.Errorf("%s: the names on descriptor %d: %w; %s", s.sign(), namesPipe, err, byHand)
	}
	s.Sockets, err = named(names)
	if err != nil {
		return fmt.Errorf("%s: %w; %s", s.sign(), err, byHand)
	}
	return nil
}

// readGob reads from the pipe and closes it: the old process has nothing more to say there.
func readGob(pipe int) (names [][]string, err error) {
	if err := fd.SetNonblock(pipe); err != nil { // for the deadline
		return nil, err
	}
	f := os.NewFile(uintptr(pipe), "names")
	defer f.Close()
	_ = f.SetReadDeadline(time.Now().Add(namesWait))
	return decodeNames(f)
}

func decodeNames(r io.Reader) (names [][]string, err error) {
	err = gob.NewDecoder(io.LimitReader(r, maxNames)).Decode(&names)
	return names, err
}

// named makes sockets of the names.
func named(names [][]string) ([]Socket, error) {
	if len(names) > maxSockets {
		return nil, fmt.Errorf("there are %d names, and %d is the most", len(names), maxSockets)
	}
	var sockets []Socket
	for i, name := range names {
		var kind wire.Kind
		known := len(name) > 0
		if known {
			kind, known = kinds[name[0]]
		}
		if !known {
			return nil, fmt.Errorf("name %d is %q, and not a kind, a network and an address", i, name)
		}
		name = append(slices.Clone(name), "", "")
		if kind == wire.KindFile { // which has a name alone
			name[1], name[2] = "", name[1]
		}
		sockets = append(sockets, Socket{FD: namesPipe + 1 + i, Kind: kind, Network: name[1], Address: name[2]})
	}
	return sockets, nil
}

// tellTableflip says that this process serves.
func tellTableflip() error {
	err := fd.WriteAll(readyPipe, []byte{notifyReady})
	return errors.Join(err, fd.Close(readyPipe))
}
