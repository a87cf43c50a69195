package owner

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestCheckDir_WhereRootHasNoName runs itself in a user namespace in which root and all others are one user.
func TestCheckDir_WhereRootHasNoName(t *testing.T) {
	t.Parallel()
	const variable, user = "OWNER_TEST_NAMESPACE", 1000
	if os.Getenv(variable) != "" {
		if Dir("/") == nil {
			t.Error("root has a name")
		}
		if err := CheckDir("/"); err != nil {
			t.Error(err)
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can give another user a name")
	}
	self := []syscall.SysProcIDMap{{ContainerID: user, HostID: nobody, Size: 1}}
	in := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, UidMappings: self, GidMappings: self,
		Credential: &syscall.Credential{Uid: user, Gid: user},
	}
	try := exec.Command("true")
	try.SysProcAttr = in
	if err := try.Run(); err != nil && os.Getenv("CORE_TEST_NAMESPACES") == "" {
		t.Skip("no user namespaces can be had: ", err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$") // whose directory that user need not see
	cmd.Env = append(os.Environ(), variable+"=1")
	cmd.SysProcAttr = in
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
