package core

import "testing"

func TestServiceUnit_IsReadFromTheCgroups(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cgroups, unit string
		ofUser        bool
	}{
		{"0::/system.slice/shop.service\n", "shop.service", false},
		{"0::/system.slice/shop.service/workers\n", "shop.service", false}, // Delegate=
		{"0::/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service\n", "shop.service", true},
		{"0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", "user@1000.service", false},
		{"0::/user.slice/user-1000.slice/session-3.scope\n", "", false},
		{"0::/../../system.slice/shop.service\n", "shop.service", false}, // of another cgroup namespace
		{"12:pids:/system.slice/other.service\n1:name=systemd:/system.slice/shop.service\n0::/\n", "shop.service", false},
		{"0::/docker/4f53cda18c2baa0c0354bb5f9a3ecbe5\n", "", false},
		{"0::/\n", "", false},
		{"0::\n", "", false},
		{"garbage", "", false},
		{"", "", false},
	} {
		if unit, ofUser := serviceUnit(c.cgroups); unit != c.unit || ofUser != c.ofUser {
			t.Errorf("%q: %q %v, want %q %v", c.cgroups, unit, ofUser, c.unit, c.ofUser)
		}
	}
}
