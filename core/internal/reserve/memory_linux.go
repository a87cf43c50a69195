package reserve

import (
	"fmt"
	"os"
	"path/filepath"
)

// moreMemory is what to raise.
const moreMemory = "raise MemoryMax= (systemd) or --memory (docker, podman)"

// Memory returns how much memory of its own this process has in use, in bytes, and the limits of the memory that it can
// have with others. Pages of files do not count, because the kernel takes them back.
func (s System) Memory() (own uint64, l Limits) {
	status, err := s.status("self")
	if err == nil {
		own = status.kilobytes("RssAnon")
	}
	groups, gerr := s.groups("memory")
	if err == nil {
		err = gerr
	}
	if err != nil {
		return own, Limits{Unknown: []error{fmt.Errorf("the limit of memory: %w", err)}}
	}
	for _, g := range groups {
		if err := s.ofMemory(&l, g); err != nil {
			l.Unknown = append(l.Unknown, fmt.Errorf("the memory of the control group: %w", err))
		}
	}
	return own, l
}

// ofMemory adds the limit of a group in either version. The second one's has other names, and memory.stat tells there
// of the groups below, too, under the names themselves.
func (s System) ofMemory(l *Limits, g group) error {
	v := memoryFiles{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_", "memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes"}
	if g.second {
		v = memoryFiles{"memory.max", "memory.current", "", "memory.swap.max", "memory.swap.current"}
	}
	most, err := g.limit(v.max)
	if err != nil || most == unlimited {
		return err
	}
	used, err := g.number(v.current)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(g.dir, "memory.stat")) // the kernel adds it up, which can take a while
	if err != nil {
		return err
	}
	stat := parse(b)
	cache := stat.number(v.total+"active_file") + stat.number(v.total+"inactive_file") + stat.number(v.total+"slab_reclaimable")
	used -= min(used, cache+s.swap(g, v, most, used))
	l.add(v.max+" of "+g.name, most, used, moreMemory)
	return nil
}

// memoryFiles are the names of a group's files, and what the names in memory.stat begin with.
type memoryFiles struct{ max, current, total, swapMax, swapCurrent string }

// swap is how much of the group's memory the kernel can still swap out. In the first version the limit of swap has the
// memory in it.
func (s System) swap(g group, v memoryFiles, most, used uint64) uint64 {
	b, err := readFile(s.path("meminfo"))
	if err != nil {
		return 0
	}
	free := parse(b).kilobytes("SwapFree")
	limit, err := g.number(v.swapMax)
	current, cerr := g.number(v.swapCurrent)
	switch {
	case free == 0 || err != nil || cerr != nil:
		return 0
	case limit == unlimited:
		return free
	case !g.second:
		limit, current = limit-min(limit, most), current-min(current, used)
	}
	return min(free, limit-min(limit, current))
}
