package release

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"time"
)

// Entry is a line of the history: something that was done, and what came of it.
type Entry struct {
	Time    time.Time `json:"time"`
	Who     string    `json:"who"` // the user, and the one who has called sudo
	PID     int       `json:"pid"`
	Action  string    `json:"action"` // "deploy", "back", "install", "adopt", "recover", "repair", "hold", "unhold", "refuse", "prune"
	Release string    `json:"release,omitempty"`
	SHA256  string    `json:"sha256,omitempty"` // of its program
	From    string    `json:"from,omitempty"`   // what was current before
	Source  string    `json:"source,omitempty"`
	Outcome string    `json:"outcome"` // "current", a control.Outcome's Kind, or a word for a person
	Bad     bool      `json:"bad,omitempty"`
	Text    string    `json:"text,omitempty"`    // why
	Took    int64     `json:"took_ms,omitempty"` // in milliseconds
}

// The outcome of an entry by which a release became current. Repair goes by it.
const outcomeCurrent = "current"

const (
	maxHistory = 8 << 20 // bytes that are read of a history, from its end
)

// note appends to the history. It is durable when it returns.
func (s *Store) note(e Entry) error {
	e.Time, e.Who, e.PID = s.now().UTC(), who(), os.Getpid()
	e.Text = printable(e.Text)
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	f, err := s.root.OpenFile(historyFile, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := s.shared(f); err != nil {
		return err
	}
	if torn(f) {
		line = append([]byte{'\n'}, line...) // so that this one can be read
	}
	if _, err := f.Write(append(line, '\n')); err != nil { // one write: a line is whole, or the last one
		return err
	}
	return f.Sync()
}

// torn reports whether the last line has no end.
func torn(f *os.File) bool {
	fi, err := f.Stat()
	if err != nil || fi.Size() == 0 {
		return false
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], fi.Size()-1)
	return err == nil && last[0] != '\n'
}

// History returns the last n entries, oldest first; n < 1 is for all. A line that is no entry, such as one that was cut
// by a power failure, is left out.
func (s *Store) History(n int) ([]Entry, error) {
	all, err := historyOf(s.root, n)
	return all, printableError(err)
}

// ReadHistory is Store.History for a reader without the lock.
func ReadHistory(dir string, n int) ([]Entry, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, printableError(notNow("%w", err))
	}
	defer func() { _ = root.Close() }()
	all, err := historyOf(root, n)
	return all, printableError(err)
}

func historyOf(root *os.Root, n int) ([]Entry, error) {
	f, err := root.Open(historyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, notNow("%w", err)
	}
	defer func() { _ = f.Close() }()
	if fi, err := f.Stat(); err == nil && fi.Size() > maxHistory {
		if _, err := f.Seek(-maxHistory, io.SeekEnd); err != nil {
			return nil, notNow("%w", err)
		}
	}
	b, err := io.ReadAll(io.LimitReader(f, maxHistory))
	if err != nil {
		return nil, notNow("%w", err)
	}
	var all []Entry
	for line := range bytes.SplitSeq(b, []byte{'\n'}) {
		var e Entry
		if json.Unmarshal(line, &e) == nil && !e.Time.IsZero() {
			all = append(all, e)
		}
	}
	if n > 0 {
		all = all[max(0, len(all)-n):]
	}
	return all, nil
}

// who is the user of this process, and the one before sudo.
func who() string {
	name := strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if by := os.Getenv("SUDO_USER"); by != "" && by != name {
		name = by + " as " + name
	}
	return printable(name)
}
