package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/gracex-go/gracex/release/internal/digest"
)

const (
	// stallAfter is how long a source can send nothing before it is given up.
	stallAfter = 60 * time.Second
	// retries is how often a source is asked again that has sent nothing more.
	retries = 3
	// progressEvery is how often EventFetching comes.
	progressEvery = 200 * time.Millisecond
	// partsKept is how long a part is kept that can be resumed.
	partsKept = 7 * 24 * time.Hour
)

var errStalled = errors.New("nothing came")

// transfer is a file that is being fetched to incoming/, under its SHA-256.
type transfer struct {
	s      *Store
	src    Source
	file   File
	limit  int64 // bytes, if the manifest does not say how large the file is
	report func(Event)
	part   *os.File
	said   time.Time // when the last EventFetching was
	half   bool
}

func (t *transfer) name() string { return filepath.Join(incomingDir, t.file.SHA256) }

// fetch brings the file of a source to incoming/, whole and with the right hash. It goes on where an earlier one has
// ended. What is wrong is removed.
func (t *transfer) fetch(ctx context.Context) error {
	part, err := t.s.root.OpenFile(t.name(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return notNow("%w", err)
	}
	defer func() { _ = part.Close() }()
	t.part = part
	at, err := part.Seek(0, io.SeekEnd)
	if err != nil {
		return notNow("%w", err)
	}
	if at > t.most() {
		at = 0
	}
	if at > 0 && (t.file.Size == 0 || at == t.file.Size) {
		if err := t.right(); err == nil {
			t.finished()
			return nil
		} else if t.file.Size > 0 {
			at = 0
		}
	}
	for resumed := at > 0; ; resumed, at = false, 0 {
		if err := t.receive(ctx, at); err != nil {
			t.giveUp(at, err)
			return err
		}
		err := t.right()
		if err == nil {
			t.finished()
			return nil
		}
		if !resumed || !errors.Is(err, ErrNotAccepted) { // else the earlier part may be what is wrong
			t.giveUp(0, err)
			return err
		}
	}
}

// giveUp removes a part that is of no use, so that the next deploy begins anew: a wrong one, and one of unknown size
// from whose end on nothing came.
func (t *transfer) giveUp(at int64, err error) {
	fi, serr := t.part.Stat()
	stuck := serr == nil && at > 0 && t.file.Size == 0 && fi.Size() == at
	if errors.Is(err, ErrNotAccepted) || stuck {
		_ = t.s.root.Remove(t.name())
	}
}

// most is how many bytes are read.
func (t *transfer) most() int64 {
	if t.file.Size > 0 {
		return t.file.Size
	}
	return t.limit
}

// right compares what is on the disk with what was signed.
func (t *transfer) right() error {
	if _, err := t.part.Seek(0, io.SeekStart); err != nil {
		return notNow("%w", err)
	}
	sum, n, err := digest.Copy(context.Background(), io.Discard, t.part)
	if err != nil {
		return notNow("%w", err)
	}
	if sum != t.file.SHA256 || t.file.Size > 0 && n != t.file.Size {
		return refuse("%s has %d bytes with SHA-256 %s, and the manifest says %s", t.file.File, n, sum, t.says())
	}
	return nil
}

func (t *transfer) says() string {
	if t.file.Size == 0 {
		return t.file.SHA256
	}
	return fmt.Sprintf("%d with %s", t.file.Size, t.file.SHA256)
}

// receive reads on from byte at until the file is whole, as often as that brings more bytes.
func (t *transfer) receive(ctx context.Context, at int64) error {
	for stuck := 0; ; {
		next, err := t.once(ctx, at)
		var wait *WaitError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &wait), errors.Is(err, ErrNotAccepted), errors.Is(err, errHere):
			return err
		}
		if stuck++; next > at {
			stuck = 0
		}
		if at = next; stuck == retries {
			return notNow("%s of %s: %d of %s bytes are here, and no more came: %w", t.file.File, t.src, at, t.total(), err)
		}
		select {
		case <-time.After(t.s.retryWait << stuck):
		case <-ctx.Done():
		}
	}
}

func (t *transfer) total() string {
	if t.file.Size == 0 {
		return "an unknown number of"
	}
	return fmt.Sprint(t.file.Size)
}

// errHere is about this machine, and not the source: another request would not help.
var errHere = errors.New("on this machine")

// once is one request. It returns where the next one goes on.
func (t *transfer) once(ctx context.Context, at int64) (next int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(t.s.stall, func() { cancel(fmt.Errorf("%w for %v", errStalled, t.s.stall)) })
	defer watch.Stop()
	defer func() {
		if err != nil && errors.Is(context.Cause(ctx), errStalled) {
			err = context.Cause(ctx)
		}
	}()
	body, from, err := t.src.Open(ctx, t.file.File, at)
	if err != nil {
		return at, err
	}
	defer func() { _ = body.Close() }()
	defer context.AfterFunc(ctx, func() { _ = body.Close() })() // for one that does not go by the context
	if from < 0 || from > at {
		return at, fmt.Errorf("asked for byte %d on, and it begins at %d", at, from)
	}
	if err := t.cut(from); err != nil {
		return at, err
	}
	at = from
	buf := make([]byte, 128<<10)
	for {
		n, err := body.Read(buf[:min(int64(len(buf)), t.most()-at+t.more())])
		watch.Reset(t.s.stall)
		if n > 0 {
			if _, werr := t.part.Write(buf[:n]); werr != nil {
				return at, t.cantWrite(werr)
			}
			at += int64(n)
			t.arrived(at)
		}
		switch {
		case at > t.most():
			return at, refuse("%s has more than %d bytes", t.file.File, t.limit)
		case at == t.file.Size:
			return at, nil // what follows is not read: nobody has signed it
		case errors.Is(err, io.EOF) && t.file.Size == 0:
			return at, nil
		case err != nil:
			return at, err
		}
	}
}

// more is the one byte by which a file of unknown size is found to be too long.
func (t *transfer) more() int64 {
	if t.file.Size > 0 {
		return 0
	}
	return 1
}

// cut has the part end at byte at.
func (t *transfer) cut(at int64) error {
	err := t.part.Truncate(at)
	if err == nil {
		_, err = t.part.Seek(at, io.SeekStart)
	}
	if err != nil {
		return t.cantWrite(err)
	}
	return nil
}

// cantWrite is the end of a transfer. A part that has filled the disk is no use to anybody.
func (t *transfer) cantWrite(err error) error {
	if isDiskFull(err) {
		_ = t.s.root.Remove(t.name())
	}
	return notNow("%w: %w", errHere, err)
}

func (t *transfer) arrived(at int64) {
	if !t.half && t.file.Size > 0 && at >= t.file.Size/2 {
		t.half = true
		step("half")
	}
	if time.Since(t.said) >= progressEvery {
		t.tell(at)
	}
}

func (t *transfer) finished() {
	if fi, err := t.part.Stat(); err == nil {
		t.tell(fi.Size())
	}
}

func (t *transfer) tell(at int64) {
	t.said = time.Now()
	t.report(Event{Kind: EventFetching, Done: at, Total: max(t.file.Size, 0)})
}
