//go:build unix

package publish

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// envKill has this test binary publish, and kill itself at a step: its value is the folder to publish. envKillAt is the
// step, envKillOut the folder that offers releases, and envKillKey the key.
const (
	envKill    = "GRACEX_TEST_PUBLISH"
	envKillAt  = "GRACEX_TEST_PUBLISH_STEP"
	envKillOut = "GRACEX_TEST_PUBLISH_OUT"
	envKillKey = "GRACEX_TEST_PUBLISH_KEY"
)

func TestMain(m *testing.M) {
	if os.Getenv(envKill) != "" {
		publishAndDie()
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func publishAndDie() {
	key, err := ReadKey(os.Getenv(envKillKey), nil)
	if err == nil {
		_, err = Publish(context.Background(), Options{
			Dir: os.Getenv(envKill), Out: os.Getenv(envKillOut), Name: "shop", Version: "1.5.0", Key: key,
			step: func(name string) {
				if name == os.Getenv(envKillAt) {
					_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				}
			},
		})
	}
	fmt.Fprintln(os.Stderr, "it was not killed:", err)
}

// TestPublish_Killed: a process is killed at each step. The folder offers the release before, or between the two renames
// of the manifest nothing; and the next publish works, also of other programs as another version.
func TestPublish_Killed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		step, offers string
		serial       int64 // of the next one
	}{
		{"copied", "1.4.0", 2},
		{"shop_1.5.0_linux_amd64", "1.4.0", 2},
		{"shop_1.5.0_linux_arm64", "1.4.0", 2},
		{manifestFile + sigSuffix, "", 3},
		{manifestFile, "1.5.0", 3},
	} {
		t.Run(c.step, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			private, _, err := s.key.Write(t.TempDir(), "k", "")
			must.Do(t, err)
			s.publish(put(t, t.TempDir(), map[string][]byte{"shop_linux_amd64": shop(t, "linux/amd64", "old")}), func(o *Options) { o.Version = "1.4.0" })
			dir := put(t, t.TempDir(), map[string][]byte{"shop_linux_amd64": shop(t, "linux/amd64", ""), "shop_linux_arm64": shop(t, "linux/arm64", "")})
			cmd := exec.Command(must.Get(os.Executable())(t))
			cmd.Env = append(os.Environ(), envKill+"="+dir, envKillAt+"="+c.step, envKillOut+"="+s.out, envKillKey+"="+private)
			out, err := cmd.CombinedOutput()
			if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
				t.Fatalf("%v: %s", err, out)
			}
			v, err := Verify(t.Context(), s.out, []string{s.key.Public()}, "")
			if v.Manifest.Version != c.offers || (err == nil) != (c.offers != "") {
				t.Errorf("%+v, %v", v, err)
			}
			if r := s.publish(dir, nil); r.Manifest.Serial != c.serial {
				t.Errorf("serial %d", r.Manifest.Serial)
			}
			other := put(t, t.TempDir(), map[string][]byte{"shop_linux_amd64": shop(t, "linux/amd64", "other")})
			s.publish(other, func(o *Options) { o.Version = "1.6.0" })
			for _, name := range []string{"shop_1.4.0_linux_amd64", "shop_1.5.0_linux_amd64"} {
				if _, err := os.Stat(filepath.Join(s.out, name)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
