//go:build linux

package release

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

func TestOpen_OneAtATime(t *testing.T) {
	s := newStore(t)
	_, err := Open(s.dir, "shop")
	wants(t, err, ErrBusy, "pid "+itoa(os.Getpid())+", since 0s")
	must.Do(t, s.Close())
	if s, err = Open(s.dir, "shop"); err != nil {
		t.Fatal(err)
	}
	must.Do(t, os.WriteFile(s.at(lockFile), []byte("{\"comm"), 0o600)) // as it is while it is written
	_, err = Open(s.dir, "shop")
	wants(t, err, ErrBusy, "another deploy runs")
	must.Do(t, s.Close())
}

// TestOpen_Refuses: nothing is made in a directory that somebody else can change, or that is above one.
func TestOpen_Refuses(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, up, dir string)
		says    string
	}{
		"everybody writes":       {func(t *testing.T, _, dir string) { must.Do(t, os.Chmod(dir, 0o777)) }, "chmod go-w"},
		"the group writes":       {func(t *testing.T, _, dir string) { must.Do(t, os.Chmod(dir, 0o775)) }, "chmod go-w"},
		"everybody writes above": {func(t *testing.T, up, _ string) { must.Do(t, os.Chmod(up, 0o777)) }, "up can be written by others"},
		"it is not there":        {func(t *testing.T, _, dir string) { must.Do(t, os.Remove(dir)) }, "make the directory"},
		"it is a file": {func(t *testing.T, _, dir string) {
			must.Do(t, os.Remove(dir))
			must.Do(t, os.WriteFile(dir, nil, 0o600))
		}, "is no directory"},
		"releases is a link elsewhere": {func(t *testing.T, up, dir string) { must.Do(t, os.Symlink(up, filepath.Join(dir, releasesDir))) }, "is no directory"},
		"releases can be written":      {func(t *testing.T, _, dir string) { mkdir(t, filepath.Join(dir, releasesDir), 0o777) }, "chmod go-w"},
		"another user's above":         {func(t *testing.T, up, _ string) { asRoot(t); must.Do(t, os.Chown(up, 4711, 4711)) }, "belongs to user 4711"},
		"another user's releases":      {func(t *testing.T, _, dir string) { asRoot(t); other(t, filepath.Join(dir, releasesDir)) }, "belongs to user 4711"},
		"the lock leads elsewhere": {func(t *testing.T, _, dir string) {
			must.Do(t, os.Symlink("/etc/passwd", filepath.Join(dir, lockFile)))
		}, "lock"},
	} {
		t.Run(name, func(t *testing.T) {
			up := filepath.Join(t.TempDir(), "up")
			dir := filepath.Join(up, "srv")
			must.Do(t, os.MkdirAll(dir, 0o755))
			c.prepare(t, up, dir)
			s, err := Open(dir, "shop")
			wants(t, err, ErrNotTried, c.says)
			if err == nil {
				_ = s.Close()
			}
			if entries, _ := os.ReadDir(filepath.Join(dir, incomingDir)); len(entries) > 0 {
				t.Error("something was made")
			}
		})
	}
	for _, program := range []string{"", "..", "a/b", ".shop"} {
		if _, err := Open(storeDir(t), program); err == nil {
			t.Errorf("the program %q was taken", program)
		}
	}
}

// TestOpen_OfAnotherUser: what root writes belongs to the store's owner, who can deploy after that.
func TestOpen_OfAnotherUser(t *testing.T) {
	asRoot(t)
	dir := storeDir(t)
	must.Do(t, os.Chown(dir, 4711, 4711))
	s := openStore(t, dir)
	r := staged(t, s, of(t, shop(t, "good", 1), "1.0.0", 1))
	must.Do(t, s.Install(t.Context(), nil, r, nil))
	for _, name := range append(tree(t, s), lockFile, historyFile) {
		fi := must.Get(os.Lstat(s.at(name)))(t)
		if uid, _ := ownerOf(fi); uid != 4711 && fi.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s belongs to user %d", name, uid)
		}
	}
}

// TestOpen_OfAnotherUserWithOurFile: root gives no file away of which the store's owner has made another name. Linux has
// fs.protected_hardlinks against such names, if it is switched on, and FreeBSD security.bsd.hardlink_check_uid.
func TestOpen_OfAnotherUserWithOurFile(t *testing.T) {
	asRoot(t)
	dir := storeDir(t)
	must.Do(t, os.Chown(dir, 4711, 4711))
	ours := filepath.Join(t.TempDir(), "passwd")
	must.Do(t, os.WriteFile(ours, []byte("root"), 0o600))
	expect := func() {
		t.Helper()
		fi := must.Get(os.Stat(ours))(t)
		if uid, _ := ownerOf(fi); uid != 0 || fi.Mode().Perm() != 0o600 || fi.Size() != 4 {
			t.Errorf("it belongs to user %d now, with mode %v and %d bytes", uid, fi.Mode(), fi.Size())
		}
	}
	must.Do(t, os.Link(ours, filepath.Join(dir, lockFile)))
	s, err := Open(dir, "shop")
	wants(t, err, ErrNotTried, "has 2 names")
	if err == nil {
		_ = s.Close()
	}
	expect()
	must.Do(t, os.Remove(filepath.Join(dir, lockFile)))
	s = openStore(t, dir)
	must.Do(t, os.Link(ours, s.at(historyFile)))
	if err := s.Hold("why"); err == nil {
		t.Error("it was noted in another file")
	}
	must.Do(t, os.Link(ours, s.at("shop")))
	if err := s.own("shop", 0o555); err == nil {
		t.Error("it was given away")
	}
	expect()
}

func TestState_Broken(t *testing.T) {
	s := newStore(t)
	r := staged(t, s, of(t, shop(t, "good", 1), "1.0.0", 7))
	must.Do(t, s.Install(t.Context(), nil, r, nil))
	bad := staged(t, s, of(t, shop(t, "exit", 2), "1.1.0", 8))
	st := must.Get(s.State())(t)
	st.condemn(bad, "it was bad", time.Now())
	must.Do(t, s.save(st))
	must.Do(t, s.note(Entry{Action: "deploy", Release: bad.ID, SHA256: bad.SHA256, Outcome: "failed", Bad: true, Text: "it was bad"}))
	whole := must.Get(os.ReadFile(s.at(stateFile)))(t)
	for name, text := range map[string]string{
		"cut in half": string(whole[:len(whole)/2]), "empty": "", "zeros": strings.Repeat("\x00", len(whole)), "no object": "[]", "no format": "{}",
		"leads out": strings.Replace(string(whole), r.ID, "../../etc", 1), "negative": strings.Replace(string(whole), `"serial": 7`, `"serial": -7`, 1),
		"too long": strings.Repeat(" ", maxState+1), "gone": "",
	} {
		must.Do(t, os.WriteFile(s.at(stateFile), []byte(text), 0o600))
		if name == "gone" {
			must.Do(t, os.Remove(s.at(stateFile)))
		}
		_, err := s.State()
		wants(t, err, ErrNotTried, "recover --repair")
		_, err = s.Stage(t.Context(), of(t, shop(t, "good", 3), "1.2.0", 9), trust(), StageOptions{}, nil)
		wants(t, err, ErrNotTried, "recover --repair")
		if s.Current() != r.ID {
			t.Fatalf("%s: %q is current", name, s.Current())
		}
		got, err := s.Repair()
		if err != nil || got.Serial != 7 || len(got.Good) != 1 || got.Good[0] != r.ID || got.Bad[bad.SHA256].Reason != "it was bad" || got.Known["1.1.0"] != bad.SHA256 {
			t.Errorf("%s: the repair has made %+v, %v", name, got, err)
		}
	}
	later := strings.Replace(string(whole), `"format": 1`, `"format": 2`, 1)
	must.Do(t, os.WriteFile(s.at(stateFile), []byte(later), 0o600))
	if _, err := s.Repair(); err == nil {
		t.Error("the state of a later gracex was repaired")
	}
}

func TestHistory_TornLine(t *testing.T) {
	s := newStore(t)
	must.Do(t, s.Hold("one\x1b[2J"))
	f := must.Get(os.OpenFile(s.at(historyFile), os.O_APPEND|os.O_WRONLY, 0))(t)
	must.Get(f.WriteString(`{"time":"2026-11-30T00:00:00Z","acti`))(t)
	must.Do(t, f.Close())
	must.Do(t, s.Unhold())
	all, err := s.History(0)
	if err != nil || len(all) != 2 || all[0].Action != "hold" || all[0].Text != `one\x1b[2J` || all[1].Action != "unhold" {
		t.Errorf("%+v %v", all, err)
	}
	if last := must.Get(ReadHistory(s.dir, 1))(t); len(last) != 1 || last[0].Action != "unhold" {
		t.Errorf("%+v", last)
	}
}

// TestClose_ForkedChild: a process that was forked, and has a copy of the lock's descriptor, does not keep the lock.
func TestClose_ForkedChild(t *testing.T) {
	s := newStore(t)
	var copied int
	must.Do(t, onFD(s.lock, func(fd int) (err error) {
		copied, err = syscall.Dup(fd)
		return err
	}))
	defer func() { _ = syscall.Close(copied) }()
	must.Do(t, s.Close())
	must.Do(t, openStore(t, s.dir).Close())
}

// TestState_NoPlainFile: the owner of a directory can't have root wait for ever.
func TestState_NoPlainFile(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	must.Do(t, syscall.Mkfifo(s.at(stateFile), 0o644))
	_, err := s.State()
	wants(t, err, ErrNotTried, "is no plain file")
}
