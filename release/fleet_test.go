//go:build linux

package release

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
)

// fleetHosts is how many hosts the fleet has: "make fleet" has 500.
func fleetHosts(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("GRACEX_FLEET")); err == nil {
		return n
	}
	if testing.Short() {
		t.Skip("-short leaves out what starts services for many seconds")
	}
	return 24
}

// origin is a source that many hosts ask.
type origin struct {
	mu    sync.Mutex
	shelf *shelf
	away  bool
	asked []time.Time
}

func (o *origin) String() string { return "origin" }

func (o *origin) Head(_ context.Context, tag string) (Offer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, time.Now())
	if o.away {
		return Offer{}, fmt.Errorf("%w: origin: away", ErrNotTried)
	}
	return o.shelf.Head(context.Background(), tag)
}

func (o *origin) Open(ctx context.Context, name string, at int64) (body io.ReadCloser, from int64, err error) {
	o.mu.Lock()
	s := &shelf{files: o.shelf.files}
	o.mu.Unlock()
	return s.Open(ctx, name, at)
}

func (o *origin) offers(s *shelf) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shelf = s
}

// questions returns when the origin was asked since the last call.
func (o *origin) questions() []time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.asked
	o.asked = nil
	return all
}

// fleetHost is one host: its store is real, and its app runs nothing.
type fleetHost struct {
	name    string
	app     *fakeApp
	mu      sync.Mutex
	started map[string][]time.Time // when each release was
}

func (h *fleetHost) starts(id string) []time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.started[id]
}

// TestFleet is a day in the life of a fleet.
func TestFleet(t *testing.T) {
	n := fleetHosts(t)
	keys()
	programs := make([][]byte, 4)
	for i := range programs {
		programs[i] = shop(t, "good", i+1)
	}
	ids := make([]string, len(programs))
	for i, p := range programs {
		ids[i] = idOf(fmt.Sprintf("1.%d.0", i), sum(p))
	}
	base := must.Get(os.MkdirTemp(fleetDir(), "fleet"))(t)
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	synctest.Test(t, func(t *testing.T) {
		release := func(i int, serial int64, change ...func(*Manifest)) *shelf {
			s := of(t, programs[i], fmt.Sprintf("1.%d.0", i), serial, change...)
			s.tag = fmt.Sprint(serial)
			return s
		}
		waves := func(all ...Wave) func(*Manifest) { return func(m *Manifest) { m.Waves = all } }
		src := &origin{shelf: release(0, 1)}
		hosts := make([]*fleetHost, n)
		ctx, end := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for i := range hosts {
			h := &fleetHost{name: fmt.Sprintf("host-%d", i), started: map[string][]time.Time{}}
			h.app = bad(control.KindRolledBack, ids[2])
			verdict := h.app.does
			h.app.does = func(id string) control.Outcome {
				h.mu.Lock()
				defer h.mu.Unlock()
				h.started[id] = append(h.started[id], time.Now())
				return verdict(id)
			}
			dir := filepath.Join(base, h.name)
			must.Do(t, os.Mkdir(dir, 0o755))
			s := must.Get(Open(dir, "shop"))(t)
			first := must.Get(s.Stage(ctx, release(0, 1), trust(), StageOptions{Reserve: -1}, nil))(t)
			must.Do(t, s.Install(ctx, nil, first, nil))
			must.Do(t, s.Close())
			h.app.set(ids[0])
			f := &Follower{Source: src, Trust: trust(), host: h.name, FollowOptions: FollowOptions{
				Keep: 1, Stage: StageOptions{Reserve: -1}, Log: slog.New(slog.DiscardHandler),
			}}
			f.open = func(context.Context) (*Store, app, error) {
				s, err := Open(dir, "shop")
				return s, h.app, err
			}
			running.Go(func() { _ = f.Run(ctx) })
			hosts[i] = h
		}
		defer running.Wait()
		defer end()
		begin := time.Now()
		slack := time.Duration(float64(DefaultEvery)*(1+jitter)) + time.Second
		until := func(d time.Duration) {
			time.Sleep(time.Until(begin.Add(d)))
			synctest.Wait()
		}

		until(2 * time.Hour)
		expectSpread(t, src.questions(), begin, n)

		// Waves.
		src.offers(release(1, 2, waves(Wave{0.1, "0s"}, Wave{0.5, "30m"}, Wave{1, "2h"})))
		m := must.Get(ParseManifest(src.shelf.manifest))(t)
		until(5 * time.Hour)
		for _, h := range hosts {
			wave, ok := m.waveOf(h.name, false)
			at := h.starts(ids[1])
			if !ok || len(at) != 1 || at[0].Before(wave) || at[0].After(wave.Add(DefaultEvery+slack)) {
				t.Errorf("%s has started %s at %v, and its wave was at %v", h.name, ids[1], at, wave)
			}
		}

		expectApart(t, hosts, ids[1])

		// A bad one is halted.
		src.offers(release(2, 3, waves(Wave{0.3, "0s"}, Wave{1, "1h"})))
		until(5*time.Hour + 30*time.Minute)
		src.offers(release(2, 4, func(m *Manifest) { m.Paused = true }))
		halted := time.Now()
		until(8 * time.Hour)
		tried := 0
		for _, h := range hosts {
			at := h.starts(ids[2])
			tried += len(at)
			if len(at) > 1 || len(at) == 1 && at[0].After(halted.Add(slack)) {
				t.Errorf("%s has started the bad release at %v, and it was halted at %v", h.name, at, halted)
			}
			if h.app.get() != ids[1] {
				t.Errorf("%s runs %s", h.name, h.app.get())
			}
		}
		if tried == 0 || tried > n*2/3 {
			t.Errorf("%d of %d hosts have tried the bad release, in a wave of 3 in 10", tried, n)
		}

		// The same bytes again, which those have not forgotten who have had them.
		src.offers(release(2, 5))
		until(10 * time.Hour)
		for _, h := range hosts {
			if at := h.starts(ids[2]); len(at) != 1 {
				t.Errorf("%s has started the bad release %d times", h.name, len(at))
			}
		}

		// The origin is away, and comes back with a good one.
		src.mu.Lock()
		src.away = true
		src.mu.Unlock()
		src.questions()
		until(16 * time.Hour)
		if asked := len(src.questions()); asked > n*20 {
			t.Errorf("an origin that was away for 6 hours was asked %d times by %d hosts", asked, n)
		}
		src.mu.Lock()
		src.away = false
		src.mu.Unlock()
		src.offers(release(3, 6))
		until(24 * time.Hour)
		for _, h := range hosts {
			if at := h.starts(ids[3]); len(at) != 1 || h.app.get() != ids[3] {
				t.Errorf("%s has started the last release at %v and runs %s", h.name, at, h.app.get())
			}
		}
	})
}

// expectApart expects that the hosts of a wave have not all started a release at the same moment.
func expectApart(t *testing.T, hosts []*fleetHost, id string) {
	t.Helper()
	seconds := map[int64]int{}
	for _, h := range hosts {
		for _, at := range h.starts(id) {
			seconds[at.Unix()]++
		}
	}
	if len(seconds) < len(hosts)/2 {
		t.Errorf("%d hosts have started %s within %d seconds of the day", len(hosts), id, len(seconds))
	}
}

// expectSpread expects that so many hosts have asked again and again, and in no minute many more than in another.
func expectSpread(t *testing.T, asked []time.Time, begin time.Time, hosts int) {
	t.Helper()
	minutes := map[int]int{}
	for _, at := range asked {
		minutes[int(at.Sub(begin)/time.Minute)]++
	}
	even := float64(hosts) / DefaultEvery.Minutes()
	total := 0
	for _, n := range minutes {
		total += n
	}
	if want := even * 120; float64(total) < want*0.9 || float64(total) > want*1.1 {
		t.Errorf("%d questions in 2 hours by %d hosts, and %.0f were expected", total, hosts, want)
	}
	var counts []int
	for m := range 120 {
		counts = append(counts, minutes[m])
	}
	if most := slices.Max(counts); float64(most) > even*2+6 {
		t.Errorf("%d questions in one minute, and %.1f are even", most, even)
	}
}

// fleetDir is where a fleet's stores are: in memory, if there is room.
func fleetDir() string {
	const memory = "/dev/shm"
	dir, err := os.Open(memory)
	if err != nil {
		return ""
	}
	defer func() { _ = dir.Close() }()
	if free, err := freeSpace(dir); err != nil || free < 4<<30 {
		return ""
	}
	return memory
}
