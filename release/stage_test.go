//go:build linux

package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

func TestStage(t *testing.T) {
	s := newStore(t)
	program := shop(t, "good", 1)
	src := of(t, program, "1.5.0", 42)
	var kinds []string
	r, err := s.Stage(t.Context(), src, trust(), StageOptions{}, func(e Event) {
		if !slices.Contains(kinds, e.Kind) {
			kinds = append(kinds, e.Kind)
		}
	})
	must.Do(t, err)
	if want := []string{EventOffered, EventFetching, EventVerified, EventStaged}; !slices.Equal(kinds, want) {
		t.Errorf("the events are %v", kinds)
	}
	id := "1.5.0-" + sum(program)[:8]
	if r.ID != id || r.Serial != 42 || r.Size != int64(len(program)) || r.Source != "shelf" || r.Signer == "" {
		t.Errorf("%+v", r)
	}
	dir := "releases/" + id
	want := []string{"incoming", "releases", dir, dir + "/release.json", dir + "/release.json.minisig", dir + "/shop", dir + "/staged.json", "state.json"}
	if got := tree(t, s); !slices.Equal(got, want) {
		t.Errorf("there is %v", got)
	}
	if fi := must.Get(os.Stat(s.at(dir, "shop")))(t); fi.Mode().Perm() != 0o555 {
		t.Errorf("the program has mode %v", fi.Mode())
	}
	if s.Current() != "" {
		t.Error("it is current without a trial")
	}
	again, err := s.Stage(t.Context(), src, trust(), StageOptions{}, nil)
	if err != nil || again.ID != r.ID || len(src.opened) != 1 {
		t.Errorf("once more: %+v %v, opened at %v", again, err, src.opened)
	}
	_, err = s.Stage(t.Context(), src, trust(), StageOptions{Tag: "1.5.0"}, nil)
	wants(t, err, ErrUnchanged, "")
	must.Do(t, os.Chmod(s.at(dir, "shop"), 0o755))
	must.Do(t, os.WriteFile(s.at(dir, "shop"), program[:100], 0o755)) // by a broken disk
	if _, err = s.Stage(t.Context(), src, trust(), StageOptions{}, nil); err != nil || len(src.opened) != 2 {
		t.Errorf("of a broken release: %v, opened at %v", err, src.opened)
	}
}

// TestStage_Refuses is the table of what is not accepted, or can't be had. Nothing is left of it but a part that can be
// resumed.
func TestStage_Refuses(t *testing.T) {
	good := shop(t, "good", 1)
	program := func(change func(b []byte)) []byte {
		b := bytes.Clone(good)
		change(b)
		return b
	}
	expired := func(m *Manifest) { m.Expires = time.Now().Add(-time.Hour) }
	for name, c := range map[string]struct {
		src  func(t *testing.T) *shelf
		opts StageOptions
		is   error // ErrNotAccepted if nil
		says string
	}{
		"one byte changed": {src: func(t *testing.T) *shelf {
			s := of(t, good, "1.5.0", 42)
			s.files["shop-linux"] = program(func(b []byte) { b[len(b)/2]++ })
			return s
		}, says: "and the manifest says"},
		"truncated at the origin": {src: func(t *testing.T) *shelf {
			s := of(t, good, "1.5.0", 42)
			s.files["shop-linux"] = good[:1000]
			return s
		}, is: ErrNotTried, says: "1000 of"},
		"away": {src: func(t *testing.T) *shelf {
			s := of(t, good, "1.5.0", 42)
			s.err = errors.New("connection refused\x1b[2J")
			return s
		}, is: ErrNotTried, says: `connection refused\x1b[2J`},
		"rate limited": {src: func(t *testing.T) *shelf {
			s := of(t, good, "1.5.0", 42)
			s.err = &WaitError{Wait: time.Hour, Err: errors.New("429")}
			return s
		}, is: ErrNotTried, says: "429"},
		"not signed": {src: func(t *testing.T) *shelf {
			s := of(t, good, "1.5.0", 42)
			s.signature = nil
			return s
		}, says: "not signed"},
		"another product": {src: func(t *testing.T) *shelf { return of(t, good, "1.5.0", 42, func(m *Manifest) { m.Name = "payments" }) }, says: "payments"},
		"for other hosts": {src: func(t *testing.T) *shelf {
			return of(t, good, "1.5.0", 42, func(m *Manifest) { m.Files[0].Arch = "s390x" })
		}, says: "only for linux/s390x"},
		"expired": {src: func(t *testing.T) *shelf { return of(t, good, "1.5.0", 42, expired) }, says: "this machine's clock says"},
		"paused":  {src: func(t *testing.T) *shelf { return of(t, good, "1.5.0", 42, func(m *Manifest) { m.Paused = true }) }, says: "halted releases up to serial 42"},
		"revoked by itself": {src: func(t *testing.T) *shelf {
			return of(t, good, "1.5.0", 42, func(m *Manifest) { m.Revoked = []string{sum(good)} })
		}, says: "revoked by its publisher, in serial 42"},
		"not now": {src: func(t *testing.T) *shelf { return of(t, good, "1.5.0", 42) },
			opts: StageOptions{Allow: func(Manifest) error { return fmt.Errorf("%w: its wave comes later", ErrNotTried) }}, is: ErrNotTried, says: "wave"},
		"for arm64":         {src: func(t *testing.T) *shelf { return of(t, program(func(b []byte) { b[18] = 183 }), "1.5.0", 42) }, says: "EM_AARCH64"},
		"no ELF":            {src: func(t *testing.T) *shelf { return of(t, []byte("#!/bin/sh\n"), "1.5.0", 42) }, says: "no program of this system"},
		"an HTML page":      {src: func(t *testing.T) *shelf { return of(t, []byte("<html>404"), "1.5.0", 42) }, says: "no program of this system"},
		"cut ELF":           {src: func(t *testing.T) *shelf { return of(t, good[:4096], "1.5.0", 42) }, says: "it is no"},
		"a C program":       {src: func(t *testing.T) *shelf { return of(t, must.Get(os.ReadFile("/bin/ls"))(t), "1.5.0", 42) }, says: "no Go program"},
		"another C library": {src: func(t *testing.T) *shelf { return of(t, otherLoader(t), "1.5.0", 42) }, says: "its loader /lib64/ld-nusl"},
		"a relocatable":     {src: func(t *testing.T) *shelf { return of(t, program(func(b []byte) { b[16] = 1 }), "1.5.0", 42) }, says: "ET_REL"},
		"without gracex": {src: func(t *testing.T) *shelf {
			return of(t, program(func(b []byte) { patch(t, b, gracexModule, "github.com/gracey-go/gracex") }), "1.5.0", 42)
		}, says: "does not contain"},
		"the check says no": {src: func(t *testing.T) *shelf { return of(t, shop(t, "badconf", 1), "1.5.0", 42) },
			opts: StageOptions{Check: []string{"{}", "-check-config"}}, says: "exit status 3; it wrote: config of gracex-test-build:0001"},
		"no room": {src: func(t *testing.T) *shelf { return of(t, good, "1.5.0", 42) }, opts: StageOptions{Reserve: 1 << 60}, is: ErrNotTried, says: "MiB are needed"},
		"an unpacked size that is wrong": {src: func(t *testing.T) *shelf {
			return packedAs(t, "shop.gz", gzipped(t, good), &Content{Size: int64(len(good)) + 1, SHA256: sum(good)})
		}, says: "and the manifest says"},
		"an unpacked hash that is wrong": {src: func(t *testing.T) *shelf {
			return packedAs(t, "shop.gz", gzipped(t, good), &Content{Size: int64(len(good)), SHA256: zeros})
		}, says: "and the manifest says"},
		"unpacked more than is said": {src: func(t *testing.T) *shelf {
			return packedAs(t, "shop.gz", gzipped(t, good), &Content{Size: 1000, SHA256: sum(good)})
		}, says: "more than 1000 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, src := newStore(t), c.src(t)
			var last Event
			r, err := s.Stage(t.Context(), src, trust(), c.opts, func(e Event) { last = e })
			if c.is == nil {
				c.is = ErrNotAccepted
				if last.Kind != EventRefused {
					t.Errorf("the last event is %+v", last)
				}
			}
			wants(t, err, c.is, c.says)
			if r.ID != "" {
				t.Errorf("it has returned %+v", r)
			}
			left := tree(t, s)
			left = slices.DeleteFunc(left, func(name string) bool {
				return name == "incoming" || name == "releases" || name == "state.json" || errors.Is(c.is, ErrNotTried) && checkSum("", filepath.Base(name)) == nil
			})
			if len(left) > 0 {
				t.Errorf("%v is left", left)
			}
		})
	}
}

// otherLoader is a C program that was built for a library that this machine does not have.
func otherLoader(t *testing.T) []byte {
	b := must.Get(os.ReadFile("/bin/ls"))(t)
	if !bytes.Contains(b, []byte("/lib64/ld-linux-x86-64.so.2")) {
		t.Skip("/bin/ls has another loader")
	}
	patch(t, b, "/lib64/ld-linux-x86-64.so.2", "/lib64/ld-nusl-x86-64.so.12")
	return b
}

// TestStage_AnotherProgram: what is deployed is the program that runs, unless it was asked for another one.
func TestStage_AnotherProgram(t *testing.T) {
	s := newStore(t)
	must.Do(t, s.Install(t.Context(), nil, staged(t, s, of(t, shop(t, "good", 1), "1.0.0", 1)), nil))
	b := shop(t, "good", 2)
	patch(t, b, "gracex/release/testdata/tiny", "gracex/release/testdata/tidy")
	patch(t, b, "\tgithub.com/gracex-go/gracex/release\t", "\tgithub.com/gracex-go/gracex/reprise\t")
	src := of(t, b, "1.1.0", 2)
	_, err := s.Stage(t.Context(), src, trust(), StageOptions{}, nil)
	wants(t, err, ErrNotAccepted, "it is the program github.com/gracex-go/gracex/reprise, and what runs is github.com/gracex-go/gracex/release")
	must.Get(s.Stage(t.Context(), src, trust(), StageOptions{OtherProgram: true}, nil))(t)
}

func TestStage_Policy(t *testing.T) {
	s := newStore(t)
	old := of(t, shop(t, "good", 1), "1.0.0", 7)
	must.Do(t, s.Install(t.Context(), nil, staged(t, s, old), nil))
	stage := func(src *shelf, o StageOptions) error {
		_, err := s.Stage(t.Context(), src, trust(), o, nil)
		return err
	}
	// A replay.
	earlier := of(t, shop(t, "good", 2), "0.9.0", 6)
	wants(t, stage(earlier, StageOptions{}), ErrNotAccepted, "serial 6 is older than 7")
	must.Do(t, stage(earlier, StageOptions{Older: true}))
	// Other bytes under a known version, and a bad program under another one.
	wants(t, stage(of(t, shop(t, "good", 3), "1.0.0", 8), StageOptions{}), ErrNotAccepted, "1.0.0 was ")
	b := shop(t, "exit", 4)
	bad := staged(t, s, of(t, b, "1.1.0", 9))
	st := must.Get(s.State())(t)
	st.condemn(bad, "rolled_back: it panicked", time.Now())
	must.Do(t, s.save(st))
	for _, src := range []*shelf{of(t, b, "1.1.0", 9), of(t, b, "1.1.1", 10)} {
		wants(t, stage(src, StageOptions{}), ErrNotAccepted, "was taken back at")
		if len(src.opened) > 0 {
			t.Error("it was fetched")
		}
		must.Do(t, stage(src, StageOptions{Again: true}))
	}
	// Who publishes a bad release can publish a good one after it, and the serial of a bad one is no ratchet.
	must.Do(t, stage(of(t, shop(t, "good", 5), "1.2.0", 8), StageOptions{}))
	// Paused: what is older is not started either, also when the source offers it again.
	wants(t, stage(of(t, shop(t, "good", 6), "1.3.0", 20, func(m *Manifest) { m.Paused = true; m.Files = nil }), StageOptions{}), ErrNotAccepted, "halted")
	wants(t, stage(of(t, shop(t, "good", 7), "1.2.1", 19), StageOptions{}), ErrNotAccepted, "halted releases up to serial 20")
	must.Do(t, stage(of(t, shop(t, "good", 8), "1.4.0", 21), StageOptions{}))
	// Held: a follower waits, and a person does not.
	must.Do(t, s.Hold("no deploys today"))
	src := of(t, shop(t, "good", 9), "1.5.0", 22)
	wants(t, stage(src, StageOptions{Follow: true}), ErrHeld, "no deploys today")
	must.Do(t, stage(src, StageOptions{}))
	must.Do(t, s.Unhold())
	must.Do(t, stage(src, StageOptions{Follow: true}))
	// A clock that stands in the past, or jumps there, does not refuse what it takes for the future.
	s.now = func() time.Time { return time.Unix(0, 0) }
	must.Do(t, stage(of(t, shop(t, "good", 10), "1.6.0", 23), StageOptions{}))
}

// TestStage_ManifestOfAMoment: a manifest and its signature are two files, and a release can be published between the
// two requests.
func TestStage_ManifestOfAMoment(t *testing.T) {
	s, src := newStore(t), of(t, shop(t, "good", 1), "1.0.0", 1)
	between := &publishing{shelf: src, first: []byte(`{"name": "shop"}`)}
	if _, err := s.Stage(t.Context(), between, trust(), StageOptions{}, nil); err != nil {
		t.Error(err)
	}
}

type publishing struct {
	*shelf
	first []byte
}

func (p *publishing) Head(ctx context.Context, tag string) (Offer, error) {
	o, err := p.shelf.Head(ctx, tag)
	if p.first != nil {
		o.Manifest, p.first = p.first, nil
	}
	return o, err
}

func TestStage_Resumes(t *testing.T) {
	program := shop(t, "good", 1)
	part := func(s *Store) string { return s.at(incomingDir, sum(program)) }
	t.Run("cut again and again", func(t *testing.T) {
		s, src := newStore(t), of(t, program, "1.0.0", 1)
		src.cut = len(program)/5 + 1
		staged(t, s, src)
		if len(src.opened) != 5 || src.read != len(program) {
			t.Errorf("opened at %v, %d of %d bytes read", src.opened, src.read, len(program))
		}
	})
	t.Run("what was left", func(t *testing.T) {
		s, src := newStore(t), of(t, program, "1.0.0", 1)
		must.Do(t, os.WriteFile(part(s), program[:5000], 0o600))
		staged(t, s, src)
		if !slices.Equal(src.opened, []int64{5000}) {
			t.Errorf("opened at %v", src.opened)
		}
	})
	t.Run("all was left", func(t *testing.T) {
		s, src := newStore(t), of(t, program, "1.0.0", 1)
		must.Do(t, os.WriteFile(part(s), program, 0o600))
		staged(t, s, src)
		if len(src.opened) > 0 {
			t.Errorf("opened at %v", src.opened)
		}
	})
	t.Run("other bytes were left", func(t *testing.T) {
		s, src := newStore(t), of(t, program, "1.0.0", 1)
		must.Do(t, os.WriteFile(part(s), bytes.Repeat([]byte("x"), 5000), 0o600))
		staged(t, s, src)
		if !slices.Equal(src.opened, []int64{5000, 0}) {
			t.Errorf("opened at %v", src.opened)
		}
	})
	t.Run("other bytes were left, as many", func(t *testing.T) {
		s, src := newStore(t), of(t, program, "1.0.0", 1)
		must.Do(t, os.WriteFile(part(s), make([]byte, len(program)), 0o600))
		staged(t, s, src)
		if !slices.Equal(src.opened, []int64{0}) {
			t.Errorf("opened at %v", src.opened)
		}
	})
	t.Run("more than all was left", func(t *testing.T) {
		s, src := newStore(t), of(t, program, "1.0.0", 1)
		must.Do(t, os.WriteFile(part(s), append(bytes.Clone(program), 'x'), 0o600))
		staged(t, s, src)
	})
	t.Run("from an earlier byte", func(t *testing.T) {
		s, src := newStore(t), of(t, program, "1.0.0", 1)
		must.Do(t, os.WriteFile(part(s), program[:5000], 0o600))
		staged(t, s, anew{src})
	})
	t.Run("longer at the origin", func(t *testing.T) {
		s, src := newStore(t), of(t, program, "1.0.0", 1)
		src.files["shop-linux"] = append(bytes.Clone(program), bytes.Repeat([]byte("x"), 1<<20)...)
		staged(t, s, src)
		if src.read > len(program) {
			t.Errorf("%d bytes were read, and %d were signed", src.read, len(program))
		}
	})
	t.Run("killed at half", func(t *testing.T) {
		s, src := newStore(t), of(t, program, "1.0.0", 1)
		ctx, cancel := context.WithCancel(t.Context())
		src.cut = 100_000
		_, err := s.Stage(ctx, cancels{src, cancel}, trust(), StageOptions{}, nil)
		wants(t, err, context.Canceled, "")
		if fi := must.Get(os.Stat(part(s)))(t); fi.Size() != 100_000 {
			t.Errorf("%d bytes are left", fi.Size())
		}
	})
	t.Run("a week old", func(t *testing.T) {
		s, src := newStore(t), of(t, program, "1.0.0", 1)
		must.Do(t, os.WriteFile(s.at(incomingDir, zeros), nil, 0o600))
		must.Do(t, os.Chtimes(s.at(incomingDir, zeros), time.Time{}, time.Now().Add(-8*24*time.Hour)))
		mkdir(t, s.at(incomingDir, "new-1"), 0o755)
		staged(t, s, src)
		if left := must.Get(os.ReadDir(s.at(incomingDir)))(t); len(left) > 0 {
			t.Errorf("%v is left", left)
		}
	})
}

// anew begins at byte 0, whatever it is asked for.
type anew struct{ *shelf }

func (a anew) Open(ctx context.Context, name string, _ int64) (io.ReadCloser, int64, error) {
	return a.shelf.Open(ctx, name, 0)
}

// cancels ends the context with the second request.
type cancels struct {
	*shelf
	cancel func()
}

func (c cancels) Open(ctx context.Context, name string, at int64) (io.ReadCloser, int64, error) {
	if at > 0 {
		c.cancel()
		return nil, 0, ctx.Err()
	}
	return c.shelf.Open(ctx, name, at)
}

// TestStage_Stalls: a source that sends nothing for a minute is given up, and its part is kept.
func TestStage_Stalls(t *testing.T) {
	program := shop(t, "good", 1)
	for name, deaf := range map[string]bool{"until its context ends": false, "until it is closed": true} {
		t.Run(name, func(t *testing.T) {
			s, src := newStore(t), of(t, program, "1.0.0", 1)
			synctest.Test(t, func(t *testing.T) {
				src.files["shop-linux"], src.stalls, src.deaf = program[:5000], true, deaf
				began := time.Now()
				_, err := s.Stage(t.Context(), src, trust(), StageOptions{}, nil)
				wants(t, err, ErrNotTried, "5000 of")
				wants(t, err, errStalled, "nothing came for 1m0s")
				if took := time.Since(began).Round(time.Minute); took != (retries+1)*time.Minute { // the first one has brought something
					t.Errorf("it took %v", took)
				}
				if fi := must.Get(os.Stat(s.at(incomingDir, sum(program))))(t); fi.Size() != 5000 {
					t.Errorf("%d bytes are left", fi.Size())
				}
			})
		})
	}
	t.Run("but not a slow one", func(t *testing.T) {
		s, src := newStore(t), of(t, program, "1.0.0", 1)
		synctest.Test(t, func(t *testing.T) {
			src.pause = 59 * time.Second // for each 128 KiB
			began := time.Now()
			staged(t, s, src)
			if took := time.Since(began); took < 2*time.Minute || len(src.opened) != 1 {
				t.Errorf("it took %v, opened at %v", took, src.opened)
			}
		})
	})
}

func TestStage_Packed(t *testing.T) {
	program := shop(t, "good", 1)
	for name, packed := range map[string][]byte{
		"shop.gz": gzipped(t, program), "shop.zst": zstandard(t, program),
		"shop.tar.gz":  gzipped(t, archive(t, entry{name: "shop-1.5.0/README"}, entry{name: "shop-1.5.0/shop", mode: 0o755, body: program})),
		"shop.tar.zst": zstandard(t, archive(t, entry{name: "./shop", mode: 0o700, body: program})),
	} {
		s := newStore(t)
		src := packedAs(t, name, packed, &Content{Size: int64(len(program)), SHA256: sum(program)})
		r := staged(t, s, src)
		if r.SHA256 != sum(program) || r.Packed != sum(packed) || sum(must.Get(os.ReadFile(s.at(releasesDir, r.ID, "shop")))(t)) != sum(program) {
			t.Errorf("%s: %+v", name, r)
		}
		if left := must.Get(os.ReadDir(s.at(incomingDir)))(t); len(left) > 0 {
			t.Errorf("%s: %v is left", name, left)
		}
	}
}

// TestStage_Sums: a SHA256SUMS that is signed says neither sizes nor what is in an archive.
func TestStage_Sums(t *testing.T) {
	program := shop(t, "good", 1)
	s := newStore(t)
	of := func(name string, b []byte, version string, serial int) *shelf {
		src := &shelf{manifest: []byte(sum(b) + "  " + name + "\n"), files: map[string][]byte{name: b}}
		src.signature = sign(src.manifest, fmt.Sprintf("gracex-release shop %s %d", version, serial))
		return src
	}
	name := "shop_" + runtime.GOOS + "_" + runtime.GOARCH
	src := of(name+".tar.gz", gzipped(t, archive(t, entry{name: "shop", mode: 0o755, body: program})), "1.0.0", 1)
	src.cut = 1 << 20
	r := staged(t, s, src)
	src.opened = nil
	if again := staged(t, s, src); again.ID != r.ID || len(src.opened) > 0 {
		t.Errorf("once more: %+v, opened at %v", again, src.opened)
	}
	st := must.Get(s.State())(t)
	st.condemn(r, "bad", time.Now())
	must.Do(t, s.save(st))
	_, err := s.Stage(t.Context(), src, trust(), StageOptions{}, nil)
	wants(t, err, ErrNotAccepted, "was taken back") // without a look into the archive
	_, err = s.Stage(t.Context(), of(name+".gz", gzipped(t, program), "1.0.1", 2), trust(), StageOptions{}, nil)
	wants(t, err, ErrNotAccepted, "was taken back") // though it is packed otherwise
	plain := shop(t, "good", 2)
	_, err = s.Stage(t.Context(), of(name, plain, "1.1.0", 3), trust(), StageOptions{MaxSize: 1000}, nil)
	wants(t, err, ErrNotAccepted, "more than 1000 bytes")
	must.Get(s.Stage(t.Context(), of(name, plain, "1.1.0", 3), trust(), StageOptions{}, nil))(t)
	if files := tree(t, s); !slices.ContainsFunc(files, func(f string) bool { return strings.HasSuffix(f, "SHA256SUMS.minisig") }) {
		t.Errorf("there is %v", files)
	}
}

func TestStage_Rights(t *testing.T) {
	s := newStore(t)
	first := staged(t, s, of(t, shop(t, "good", 1), "1.0.0", 1))
	must.Do(t, s.Install(t.Context(), nil, first, nil))
	path := s.at(releasesDir, first.ID, "shop")
	must.Do(t, os.Chmod(path, 0o555|os.ModeSetuid))
	src := of(t, shop(t, "good", 2), "1.1.0", 2)
	_, err := s.Stage(t.Context(), src, trust(), StageOptions{}, nil)
	wants(t, err, ErrNotAccepted, "is setuid or setgid")
	must.Do(t, os.Chmod(path, 0o555))
	asRoot(t)
	caps := []byte("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00") // cap_net_bind_service=ep
	set := func(caps []byte) error {
		f := must.Get(os.Open(path))(t)
		defer func() { _ = f.Close() }()
		return setCapabilities(f, caps)
	}
	if err := set(caps); err != nil {
		t.Skipf("no file capabilities here: %v", err)
	}
	r := staged(t, s, src)
	if got, err := capabilities(s.at(releasesDir, r.ID, "shop")); err != nil || !bytes.Equal(got, caps) {
		t.Errorf("the new one has the capabilities %q, %v", got, err)
	}
	must.Do(t, set([]byte("\x01\x00\x00\x02\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")))
	wants(t, sameRights(path, s.at(releasesDir, r.ID, "shop")), ErrNotAccepted, "only root can give them")
}

// TestStage_CapabilitiesOfAnotherUsersStore: whose store it is can switch a path while root deploys. That does not give
// a program the capabilities of a file elsewhere, nor another program those of the one that runs.
func TestStage_CapabilitiesOfAnotherUsersStore(t *testing.T) {
	asRoot(t)
	s := newStore(t)
	first := staged(t, s, of(t, shop(t, "good", 1), "1.0.0", 1))
	must.Do(t, s.Install(t.Context(), nil, first, nil))
	elsewhere := filepath.Join(t.TempDir(), "newuidmap")
	must.Do(t, os.WriteFile(elsewhere, nil, 0o755))
	caps := []byte("\x01\x00\x00\x02\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00") // cap_setuid=ep
	give := func(path string) error {
		f := must.Get(os.Open(path))(t)
		defer func() { _ = f.Close() }()
		return setCapabilities(f, caps)
	}
	if err := give(elsewhere); err != nil {
		t.Skipf("no file capabilities here: %v", err)
	}
	j, like := s.job(StageOptions{}, "", nil), s.like()
	written := filepath.Join(incomingDir, "new")
	must.Do(t, os.WriteFile(s.at(written), nil, 0o600))
	path := s.at(releasesDir, first.ID, "shop")
	must.Do(t, os.Rename(path, path+".old"))
	must.Do(t, os.Symlink(elsewhere, path))
	wants(t, j.handOver(like, written), ErrNotTried, "escapes")
	must.Do(t, os.Rename(path+".old", path))
	must.Do(t, give(path))
	must.Do(t, os.Chown(s.at(written), 4711, 4711))
	wants(t, j.handOver(like, written), ErrNotTried, "is not what was written there")
	must.Do(t, os.Chown(s.at(written), 0, 0))
	must.Do(t, os.Link(s.at(written), s.at(incomingDir, "another name")))
	wants(t, j.handOver(like, written), ErrNotTried, "is not what was written there")
	if got, err := capabilities(s.at(written)); err != nil || got != nil {
		t.Errorf("it has the capabilities %q, %v", got, err)
	}
}

func TestStage_Check(t *testing.T) {
	s, src := newStore(t), of(t, shop(t, "good", 1), "1.0.0", 1)
	t.Setenv("SECRET", "hidden")
	for says, command := range map[string][]string{
		"it wrote: /": {"/bin/sh", "-c", "echo $SECRET$PWD; exit 1"}, "exit status 3": {"/bin/sh", "-c", "test -x {} && exit 3"},
		"new-": {"/bin/sh", "-c", "echo $0; exit 1"}, "signal: killed": {"/bin/sh", "-c", "kill -9 $$"},
	} {
		_, err := s.Stage(t.Context(), src, trust(), StageOptions{Check: command}, nil)
		wants(t, err, ErrNotAccepted, says)
	}
	_, err := s.Stage(t.Context(), src, trust(), StageOptions{Check: []string{"/no/such/command"}}, nil)
	wants(t, err, ErrNotTried, "no such file")
	asRoot(t)
	dir := "/tmp/gracex-check-as" // above a t.TempDir others can't look into it
	must.Do(t, os.RemoveAll(dir))
	mkdir(t, dir, 0o755)
	defer func() { _ = os.RemoveAll(dir) }()
	s = openStore(t, dir)
	_, err = s.Stage(t.Context(), src, trust(), StageOptions{Check: []string{"/bin/sh", "-c", "{} -check-config; exit 1"}, CheckUser: "nobody"}, nil)
	wants(t, err, ErrNotAccepted, "as 65534")
}

func TestStageFile(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "shop")
	put := func(path string, b []byte) string {
		must.Do(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must.Do(t, os.WriteFile(path, b, 0o755))
		return path
	}
	program := shop(t, "good", 1)
	put(path, program)
	stage := func(path, version string) (Release, error) {
		return s.StageFile(t.Context(), path, version, StageOptions{}, nil)
	}
	r := must.Get(stage(path, "1.0.0"))(t)
	if r.ID != "1.0.0-"+sum(program)[:8] || r.Serial != 0 || r.Source != path || r.Signer != "" {
		t.Errorf("%+v", r)
	}
	if again := must.Get(stage(dir, "1.0.0"))(t); again.ID != r.ID {
		t.Errorf("the directory: %+v", again)
	}
	if r := must.Get(stage(path, ""))(t); checkWord("", r.Version) != nil || r.Version == "1.0.0" {
		t.Errorf("without a version: %+v", r)
	}
	if r := must.Get(stage(put(filepath.Join(dir, "p", "shop_1.1.0.tar.gz"), gzipped(t, archive(t, entry{name: "shop", mode: 0o755, body: shop(t, "good", 2)}))), "1.1.0"))(t); r.Packed == "" {
		t.Errorf("packed: %+v", r)
	}
	_, err := stage(filepath.Join(dir, "none"), "")
	wants(t, err, ErrNotTried, "no such file")
	_, err = stage(dir, "")
	wants(t, err, ErrNotAccepted, "p in it beside shop")
	_, err = stage("/dev/null", "")
	wants(t, err, ErrNotAccepted, "is no file")
	_, err = stage(path, "../x")
	wants(t, err, ErrNotAccepted, "begins with")
	for mode, says := range map[os.FileMode]string{0o757: "written by everybody", 0o755 | os.ModeSetuid: "is setuid"} {
		must.Do(t, os.Chmod(path, mode))
		_, err = stage(path, "")
		wants(t, err, ErrNotAccepted, says)
	}
	must.Do(t, os.Chmod(path, 0o755))
	st := must.Get(s.State())(t)
	st.condemn(r, "bad", time.Now())
	must.Do(t, s.save(st))
	_, err = stage(path, "2.0.0")
	wants(t, err, ErrNotAccepted, "was taken back")
	if left := must.Get(os.ReadDir(s.at(incomingDir)))(t); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	asRoot(t)
	must.Do(t, os.Chown(path, 4711, 4711))
	_, err = stage(path, "")
	wants(t, err, ErrNotAccepted, "belongs to user 4711")
}
