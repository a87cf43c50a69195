package reserve

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// files are those of a machine, by path. The value of a path with "ns/" in it is the target of a symlink. %m stands for
// the directory of them all.
type files map[string]string

// played writes the files, with more of them instead or beside. Without a value there is no file.
func played(t *testing.T, more files) System {
	t.Helper()
	dir := t.TempDir()
	all := files{
		"proc/self/status":    "Name:\tshop: a b\nUid:\t1000\t0\t0\t0\nThreads:\t8\nCapEff:\t0000000000000000\nRssAnon:\t   40960 kB\n",
		"proc/self/limits":    "Limit Soft Limit Hard Limit Units\nMax processes             unlimited            unlimited            processes\n",
		"proc/self/ns/user":   initialUsers,
		"proc/self/cgroup":    "0::/\n",
		"proc/self/mountinfo": "35 31 0:32 / %m/cg rw,relatime shared:5 - cgroup2 cgroup2 rw\n",
		"cg/cgroup.procs":     "",
	}
	for path, text := range more {
		all[path] = text
	}
	for path, text := range all {
		text = strings.ReplaceAll(text, "%m", dir)
		path = filepath.Join(dir, path)
		must.Do(t, os.MkdirAll(filepath.Dir(path), 0o755))
		switch {
		case strings.Contains(path, "/ns/"):
			must.Do(t, os.Symlink(text, path))
		case text != "":
			must.Do(t, os.WriteFile(path, []byte(text), 0o644))
		}
	}
	return System(filepath.Join(dir, "proc"))
}

// tight says that the user may have n threads.
func tight(n int) string {
	return fmt.Sprintf("Max processes             %d                96365                processes\n", n)
}

func process(uid, threads string) string {
	return "Name:\tx\nUid:\t" + uid + "\t" + uid + "\nThreads:\t" + threads + "\n"
}

// expect checks the limits, each as "free/max name", and how many are not known.
func expect(t *testing.T, l Limits, unknown int, want ...string) {
	t.Helper()
	var got []string
	for _, limit := range l.All {
		got = append(got, fmt.Sprintf("%d/%d %s", limit.Free, limit.Max, limit.Name))
		if !strings.HasPrefix(limit.Remedy, "raise ") {
			t.Errorf("%s: the remedy is %q", limit.Name, limit.Remedy)
		}
	}
	if !slices.Equal(got, want) || len(l.Unknown) != unknown {
		t.Errorf("the limits are %q, and not known are %v; want %q and %d", got, l.Unknown, want, unknown)
	}
}

func TestThreads(t *testing.T) {
	t.Parallel()
	v1 := files{
		"proc/self/cgroup":                 "8:cpu,pids:/a/b\n4:memory:/x\n0::/\n",
		"proc/self/mountinfo":              "1 0 8:1 / / rw - ext4 /dev/sda rw\n39 31 0:36 /a %m/cg\\040v1 rw - cgroup cgroup rw,cpu,pids\n",
		"cg v1/pids.max":                   "100\n",
		"cg v1/pids.current":               "20\n",
		"cg v1/b/pids.max":                 "max\n",
		"cg v1/b/pids.current":             "19\n",
		"cg v1/cgroup.clone_children":      "1\n",
		"cg v1/elsewhere/pids.max":         "1\n",
		"cg v1/elsewhere/pids.current":     "1\n",
		"cg v1/elsewhere/cgroup.event_ctl": "1\n",
	}
	for name, tt := range map[string]struct {
		files   files
		unknown int
		want    []string
	}{
		"no limit at all": {},
		"user": {files: files{
			"proc/self/limits": tight(40),
			"proc/1/status":    process("1000", "8"), "proc/1/ns/user": initialUsers,
			"proc/2/status": process("1000", "5"), // whose namespace can't be seen
			"proc/3/status": process("1000", "50"), "proc/3/ns/user": "user:[4026532000]",
			"proc/4/status":   process("0", "50"),
			"proc/net/status": process("1000", "50"),
		}, want: []string{"27/40 RLIMIT_NPROC of user 1000"}},
		"user, more than may be": {files: files{
			"proc/self/limits": tight(7), "proc/1/status": process("1000", "8"),
		}, want: []string{"0/7 RLIMIT_NPROC of user 1000"}},
		"user, whole machine far below": {files: files{
			"proc/self/limits": tight(100000), "proc/loadavg": "0.1 0.2 0.3 2/345 9999\n",
		}, want: []string{"99655/100000 RLIMIT_NPROC"}},
		"user, whole machine above": {files: files{
			"proc/self/limits": tight(400), "proc/loadavg": "0.1 0.2 0.3 2/345 9999\n", "proc/1/status": process("1000", "8"),
		}, want: []string{"392/400 RLIMIT_NPROC of user 1000"}},
		"root": {files: files{
			"proc/self/limits": tight(7), "proc/self/status": process("0", "8"),
		}},
		"capability": {files: files{
			"proc/self/limits": tight(7), "proc/self/status": process("7", "8") + "CapEff:\t0000000001000000\n",
		}},
		"root of a user namespace": {files: files{
			"proc/self/limits": tight(10), "proc/self/ns/user": "user:[4026532000]",
			"proc/self/status": process("0", "8") + "CapEff:\t000001ffffffffff\n",
			"proc/1/status":    process("0", "8"), "proc/1/ns/user": "user:[4026532000]",
			"proc/2/status": process("0", "8"), "proc/2/ns/user": initialUsers,
		}, want: []string{"2/10 RLIMIT_NPROC of user 0"}},
		"groups": {files: files{
			"proc/self/cgroup":                      "0::/system.slice/shop.service\n",
			"cg/system.slice/shop.service/pids.max": "14\n", "cg/system.slice/shop.service/pids.current": "9\n",
			"cg/system.slice/pids.max": "30\n", "cg/system.slice/pids.current": "31\n",
		}, want: []string{"5/14 pids.max of /system.slice/shop.service", "0/30 pids.max of /system.slice"}},
		"first version, the container's group as the root": {files: v1, want: []string{"80/100 pids.max of /a"}},
		"no controller":                           {files: files{"proc/self/cgroup": "4:memory:/x\n"}},
		"nothing of proc":                         {files: files{"proc/self/status": ""}, unknown: 1},
		"no limits":                               {files: files{"proc/self/limits": ""}, unknown: 1},
		"no line of limits":                       {files: files{"proc/self/limits": "Max open files 3 3 files\n"}, unknown: 1},
		"no list of groups":                       {files: files{"proc/self/cgroup": ""}, unknown: 1},
		"no list of mounts":                       {files: files{"proc/self/mountinfo": ""}, unknown: 1},
		"groups not mounted":                      {files: files{"proc/self/mountinfo": "1 0 8:1 / / rw - ext4 /dev/sda rw\n\n"}, unknown: 1},
		"group outside of the namespace":          {files: files{"proc/self/cgroup": "0::/../other\n"}, unknown: 1},
		"group outside of the mount":              {files: files{"proc/self/cgroup": "0::/ab\n", "proc/self/mountinfo": "35 31 0:32 /a %m/cg rw - cgroup2 cgroup2 rw\n"}, unknown: 1},
		"limit of a group, without what it is of": {files: files{"cg/pids.max": "14\n"}, unknown: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := played(t, tt.files)
			own, l := s.Threads()
			expect(t, l, tt.unknown, tt.want...)
			if s, err := s.status("self"); err == nil && own != int(s.number("Threads")) {
				t.Errorf("this process has %d threads", own)
			}
		})
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	number := func(n int) string { return fmt.Sprintln(n * mib) }
	stat := func(prefix string) string {
		return fmt.Sprintf("anon %d\nfile 1\n%sactive_file %d\n%sinactive_file %d\n", 40*mib, prefix, 10*mib, prefix, 20*mib)
	}
	second := files{
		"proc/self/cgroup":   "0::/shop\n",
		"cg/shop/memory.max": number(100), "cg/shop/memory.current": number(90), "cg/shop/memory.stat": stat(""),
	}
	first := files{
		"proc/self/cgroup": "4:memory:/\n0::/\n",
		"proc/self/mountinfo": "3 1 0:32 / %m/cg rw - cgroup2 cgroup2 rw\n" +
			"4 1 0:33 / %m/mem rw - cgroup cgroup rw,memory\n",
		"mem/memory.limit_in_bytes": number(100), "mem/memory.usage_in_bytes": number(90), "mem/memory.stat": stat("") + stat("total_"),
	}
	with := func(f files, more files) files {
		all := files{}
		for _, from := range []files{f, more} {
			for path, text := range from {
				all[path] = text
			}
		}
		return all
	}
	for name, tt := range map[string]struct {
		files   files
		unknown int
		free    int // MiB; 0: there is no limit
	}{
		"no limit":      {},
		"second":        {files: second, free: 40},
		"above":         {files: with(second, files{"proc/self/cgroup": "0::/shop/deep\n", "cg/shop/deep/memory.max": "max\n"}), free: 40},
		"first":         {files: first, free: 40},
		"first, none":   {files: with(first, files{"mem/memory.limit_in_bytes": "9223372036854771712\n"})},
		"over it":       {files: with(second, files{"cg/shop/memory.current": number(120)}), free: 10},
		"without stat":  {files: with(second, files{"cg/shop/memory.stat": ""}), unknown: 1},
		"without usage": {files: with(second, files{"cg/shop/memory.current": ""}), unknown: 1},
		"no proc":       {files: files{"proc/self/status": ""}, unknown: 1},
		"no groups":     {files: files{"proc/self/cgroup": ""}, unknown: 1},
		"swap": {files: with(second, files{
			"proc/meminfo": "MemTotal: 1 kB\nSwapFree:   1048576 kB\n", "cg/shop/memory.swap.max": number(50), "cg/shop/memory.swap.current": number(40),
		}), free: 50},
		"swap that is full": {files: with(second, files{
			"proc/meminfo": "SwapFree:   1024 kB\n", "cg/shop/memory.swap.max": "max\n", "cg/shop/memory.swap.current": number(40),
		}), free: 41},
		"swap, first": {files: with(first, files{
			"proc/meminfo": "SwapFree:   1048576 kB\n", "mem/memory.memsw.limit_in_bytes": number(130), "mem/memory.memsw.usage_in_bytes": number(110),
		}), free: 50},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own, l := played(t, tt.files).Memory()
			if own != 40*mib && name != "no proc" {
				t.Errorf("this process has %d bytes", own)
			}
			if len(l.Unknown) != tt.unknown || len(l.All) != min(tt.free, 1) {
				t.Fatalf("%+v", l)
			}
			if tt.free > 0 && l.All[0].Free != uint64(tt.free*mib) {
				t.Errorf("%d MiB are free, want %d", l.All[0].Free/mib, tt.free)
			}
		})
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	l := Limits{All: []Limit{{Name: "a", Free: 9}, {Name: "b", Free: 5}, {Name: "c", Free: 4}}}
	if got, short := l.Short(6); !short || got.Name != "b" {
		t.Errorf("%+v, %v", got, short)
	}
	if got, short := l.Short(4); short {
		t.Errorf("%+v", got)
	}
}

// TestMachine reads this machine's own files, as far as they are there.
func TestMachine(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip(err)
	}
	own := slices.Repeat([]byte{1}, 4<<20)
	defer runtime.KeepAlive(own)
	threads, l := System("").Threads()
	memory, m := System("").Memory()
	t.Logf("%d threads, %+v; %d bytes, %+v", threads, l, memory, m)
	if threads < 2 || memory < uint64(len(own)) {
		t.Errorf("this process has %d threads and %d bytes", threads, memory)
	}
}

// TestKeepThreads is not parallel, because other tests would use what it keeps. Afterwards as many goroutines wait in
// system calls as may, and this process has started no thread for them.
func TestKeepThreads(t *testing.T) {
	kept := Kept()
	for _, free := range []int{0, Keep() - 1} {
		played(t, files{"cg/pids.max": "1000\n", "cg/pids.current": fmt.Sprintln(1000 - free)}).KeepThreads()
	}
	played(t, nil).KeepThreads()
	if Kept() != kept {
		t.Error("threads were started without room that is known")
	}
	played(t, files{"cg/pids.max": "1000\n", "cg/pids.current": fmt.Sprintln(1000 - Keep())}).KeepThreads()
	if Kept() == 0 {
		t.Error("no threads were started")
	}
	for range 10 {
		KeepThreads()
	}
	if Kept() > Keep() {
		t.Errorf("%d threads were started, and at most %d are", Kept(), Keep())
	}
	before := threads()
	var ends [2]int
	must.Do(t, syscall.Pipe2(ends[:], syscall.O_CLOEXEC))
	var waiting, returned sync.WaitGroup
	for range blocked {
		waiting.Add(1)
		returned.Go(func() {
			waiting.Done()
			_, _ = syscall.Read(ends[0], make([]byte, 1))
		})
	}
	waiting.Wait()
	spin(t)
	if n := threads(); n != before {
		t.Errorf("%d threads were started since", n-before)
	}
	must.Do(t, syscall.Close(ends[1]))
	returned.Wait()
	must.Do(t, syscall.Close(ends[0]))
}

// spin keeps all processors busy until the runtime has noticed what waits in system calls.
func spin(t *testing.T) {
	t.Helper()
	var busy sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		busy.Go(func() {
			for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
				runtime.Gosched()
			}
		})
	}
	busy.Wait()
}
