package owner

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestDir_ForOwnGroup: a directory for a group of which nobody else is a member is accepted, and a program in it is not.
// It is not parallel: the files are the package's.
func TestDir_ForOwnGroup(t *testing.T) {
	dir := site(t)
	bin := filepath.Join(dir, "release", "bin")
	accounts := t.TempDir()
	defer func(p, g string) { passwdFile, groupFile = p, g }(passwdFile, groupFile)
	passwdFile, groupFile = filepath.Join(accounts, "passwd"), filepath.Join(accounts, "group")
	me, own := os.Geteuid(), os.Getegid()
	_, gid := ids(must.Get(os.Stat(bin))(t))
	if gid != own {
		t.Skip("a new directory has another group than this process")
	}
	self := fmt.Sprintf("root:x:0:0:::\napp:x:%d:%d:::\n", me, own)
	for name, c := range map[string]struct {
		passwd, group string
		mode          os.FileMode
		want          bool
	}{
		"no members":       {self, fmt.Sprintf("own:x:%d:\n", own), 0o775, true},
		"this user":        {self, fmt.Sprintf("own:x:%d:app\n", own), 0o775, true},
		"setgid":           {self, fmt.Sprintf("own:x:%d:app\n", own), 0o775 | os.ModeSetgid, true},
		"root":             {self, fmt.Sprintf("own:x:%d:root,app\n", own), 0o775, true},
		"another member":   {self, fmt.Sprintf("own:x:%d:app,eve\n", own), 0o775, false},
		"in a second line": {self, fmt.Sprintf("own:x:%d:\nalso:x:%d:eve\n", own, own), 0o775, false},
		"for everybody":    {self, fmt.Sprintf("own:x:%d:\n", own), 0o777, false},
		"no names at all":  {"", "", 0o775, own == 0 || own == me},
		"another's first":  {self + fmt.Sprintf("eve:x:%d:%d:::\n", me+1, own), fmt.Sprintf("own:x:%d:\n", own), 0o775, own == 0},
	} {
		must.Do(t, os.WriteFile(passwdFile, []byte(c.passwd), 0o600))
		must.Do(t, os.WriteFile(groupFile, []byte(c.group), 0o600))
		must.Do(t, os.Chmod(bin, c.mode))
		if err := Dir(bin); c.want != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if f, err := Program(filepath.Join(bin, "app")); err == nil {
			f.Close()
			t.Errorf("%s: the program is accepted", name)
		}
	}
	must.Do(t, os.WriteFile(groupFile, fmt.Appendf(nil, "own:x:%d:\nother:x:12345:\n", own), 0o600))
	must.Do(t, os.WriteFile(passwdFile, nil, 0o600))
	must.Do(t, os.Chmod(bin, 0o775))
	if me == 0 {
		must.Do(t, os.Chown(bin, 0, 12345))
		if Dir(bin) == nil {
			t.Error("a group that is not this process's is accepted")
		}
		must.Do(t, os.Chown(bin, 0, own))
	}
	// version 2; user::rwx, user:12345:rwx, group::rwx, mask::rwx, other::r-x
	acl := "\x02\x00\x00\x00" + "\x01\x00\x07\x00\xff\xff\xff\xff" + "\x02\x00\x07\x00\x39\x30\x00\x00" +
		"\x04\x00\x07\x00\xff\xff\xff\xff" + "\x10\x00\x07\x00\xff\xff\xff\xff" + "\x20\x00\x05\x00\xff\xff\xff\xff"
	if err := syscall.Setxattr(bin, "system.posix_acl_access", []byte(acl), 0); err != nil {
		t.Skipf("no access control lists here: %v", err)
	}
	if Dir(bin) == nil {
		t.Error("an access control list that lets another user write is not seen")
	}
}
