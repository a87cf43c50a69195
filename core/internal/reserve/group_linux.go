package reserve

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// group is a control group (cgroups(7)).
type group struct {
	dir  string
	name string // its path in the hierarchy, as this process sees it

	second bool // of the second version of control groups
}

// limit is a number that bounds the group. The root has no such file, and neither has a group without this controller.
func (g group) limit(file string) (uint64, error) {
	n, err := g.number(file)
	if errors.Is(err, fs.ErrNotExist) {
		return unlimited, nil
	}
	return n, err
}

func (g group) number(file string) (uint64, error) {
	b, err := readFile(filepath.Join(g.dir, file))
	if err != nil {
		return 0, err
	}
	return limit(string(b))
}

// groups returns the group of this process for a controller, and those above it up to the mount. There are none if the
// kernel has not got the controller.
func (s System) groups(controller string) (all []group, err error) {
	b, err := readFile(s.path("self", "cgroup"))
	if err != nil {
		return nil, err
	}
	path, second, ok := memberOf(string(b), controller)
	if !ok {
		return nil, nil
	}
	if b, err = readFile(s.path("self", "mountinfo")); err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		root, at, ok := hierarchy(line, controller, second)
		below, inside := under(path, root)
		if !ok || !inside {
			continue
		}
		for {
			all = append(all, group{filepath.Join(at, below), filepath.Join(root, below), second})
			if below == "/" {
				return all, nil
			}
			below = filepath.Dir(below)
		}
	}
	return nil, fmt.Errorf("the hierarchy of control groups with %s in it is not mounted", path)
}

// memberOf finds the group of a process in the text of /proc/PID/cgroup, in lines of the form number:controllers:path. A
// controller that no hierarchy of the first version has is the second's, whose line has none.
func memberOf(text, controller string) (path string, second, ok bool) {
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		switch {
		case len(f) < 3:
		case slices.Contains(strings.Split(f[1], ","), controller):
			return f[2], false, true
		case f[0] == "0" && f[1] == "":
			path, second, ok = f[2], true, true
		}
	}
	return path, second, ok
}

// hierarchy reads a line of proc_pid_mountinfo(5), which is about the controller: what is mounted, and where.
func hierarchy(line, controller string, second bool) (root, at string, ok bool) {
	before, after, _ := strings.Cut(line, " - ")
	mount, fs := strings.Fields(before), strings.Fields(after)
	if len(mount) < 5 || len(fs) < 3 {
		return "", "", false
	}
	if second {
		ok = fs[0] == "cgroup2"
	} else {
		ok = fs[0] == "cgroup" && slices.Contains(strings.Split(fs[2], ","), controller)
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	return unescape.Replace(mount[3]), unescape.Replace(mount[4]), ok
}

// under returns path as seen from root, which it has to be in. In a container without a cgroup namespace root is the
// container's group; a path that leads out of the namespace is in no mount.
func under(path, root string) (string, bool) {
	if strings.HasPrefix(path, "/..") {
		return "", false
	}
	below, ok := strings.CutPrefix(path, strings.TrimSuffix(root, "/"))
	if below == "" {
		below = "/"
	}
	return below, ok && below[0] == '/'
}
