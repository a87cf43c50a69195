package h2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// uploading is a client that uploads, and a server whose handlers say what they have.
type uploading struct {
	*chain
	*raw
	handling chan string
}

const netHTTPWindow = 1 << 20 // net/http's INITIAL_WINDOW_SIZE

// upload opens stream 1, whose body is to come, and begins a move. Frames of later ones are withheld for so long.
func upload(t *testing.T, withheld, patient time.Duration) (*uploading, *taker) {
	t.Helper()
	u := &uploading{handling: make(chan string, 10)}
	c, addr := newChain(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.handling <- r.URL.Path
		_, _ = io.Copy(w, r.Body)
	}), nil)
	u.chain, u.raw = c, c.dial(t, addr)
	u.send(post(1, "/1"))
	u.heard("/1")
	conn := c.any()
	m := &taker{c: c, to: c.next(), conn: conn, done: make(chan struct{})}
	conn.Move(m, Pace{Withhold: time.Millisecond, WithholdFor: withheld, Patience: patient})
	return u, m
}

// heard waits until a handler has the request for path, and no other one before.
func (u *uploading) heard(path string) {
	u.raw.t.Helper()
	select {
	case got := <-u.handling:
		if got != path {
			u.raw.t.Errorf("the server has got %s, want %s", got, path)
		}
	case <-time.After(patience):
		u.raw.t.Fatalf("the server has not got %s", path)
	}
}

// told reads the frames up to the SETTINGS that say a window, and those behind it, and acknowledges it.
func (u *uploading) told(window uint32, behind ...string) {
	u.raw.t.Helper()
	all := u.until(func(f *frame) bool { return f.is(typeSettings, 0) })
	if f := all[len(all)-1]; !bytes.Equal(f.payload, appendSetting(nil, settingWindow, window)) {
		u.raw.t.Fatalf("%s, want a window of %d", say(all), window)
	}
	for _, want := range behind {
		f := must.Get(u.raw.next())(u.raw.t)
		if got := say([]frame{f}); got != want {
			u.raw.t.Errorf("%s, want %s", got, want)
		}
	}
	u.send(appendFrame(nil, typeSettings, flagAck, 0))
}

// windowOf is what say says of a WINDOW_UPDATE that gives a stream its window.
func windowOf(stream int) string {
	return fmt.Sprintf("8 flags 0 stream %d 00 10 00 00", stream)
}

// TestWithhold_NewStreamsGoAlong: a client that always uploads something moves, and its next streams with it.
func TestWithhold_NewStreamsGoAlong(t *testing.T) {
	t.Parallel()
	u, m := upload(t, patience, patience)
	u.told(0, windowOf(1))
	u.settled()
	u.send(post(3, "/3"), appendWindow(nil, 3, 100))
	u.settled() // all has been read
	select {
	case got := <-u.handling:
		t.Errorf("the server has got %s", got)
	case <-m.done:
		t.Error("it has moved")
	default:
	}
	u.send(body(1, 3))
	u.answer(1)
	<-m.done
	u.told(netHTTPWindow)
	u.heard("/3")
	u.send(body(3, 50_000))
	u.answer(3)
	u.expectMoved(1)
	u.chain.upgrade()
	u.expectMoved(2)
}

// TestWithhold_NotForLong: a stream that does not end keeps the connection, and the requests that come meanwhile.
func TestWithhold_NotForLong(t *testing.T) {
	t.Parallel()
	u, m := upload(t, 20*time.Millisecond, time.Second)
	u.told(0, windowOf(1))
	u.settled()
	u.send(post(3, "/3"))
	u.heard("/3")
	if got := say(u.until(func(f *frame) bool { return f.is(typeWindowUpdate, 0) })); got != windowOf(3) {
		t.Errorf("%s, want %s", got, windowOf(3))
	}
	u.send(body(3, 3))
	u.answer(3)
	<-m.done
	if u.stayed[StuckStreams] != 1 {
		t.Errorf("stayed: %v", u.stayed)
	}
	u.send(body(1, 3))
	u.answer(1)
	u.told(netHTTPWindow) // it is as before
	u.send(post(7, "/7"))
	u.heard("/7")
	u.send(body(7, 50_000))
	if got := u.answer(7); slices.ContainsFunc(got, func(f frame) bool { return say([]frame{f}) == windowOf(7) }) {
		t.Errorf("its window is open already:\n%s", say(got))
	}
	u.chain.upgrade()
	if n := u.moved.Load(); n != 1 {
		t.Errorf("%d moves", n)
	}
}

// TestWithhold_EndsEarly where it would change what the client says.
func TestWithhold_EndsEarly(t *testing.T) {
	t.Parallel()
	get := func(stream uint32, path string) []byte {
		return appendFrame(nil, typeHeaders, flagEndHeaders|flagEndStream, stream, post(stream, path)[headSize:]...)
	}
	for name, sends := range map[string]func(u *uploading){
		"trailers of an older stream": func(u *uploading) {
			// They have an index of what the header block before has put into the table.
			u.send(appendFrame(nil, typeHeaders, flagEndHeaders|flagEndStream, 3, append(get(3, "/3")[headSize:], 0x40, 1, 'x', 1, 'y')...))
			u.send(appendFrame(nil, typeHeaders, flagEndHeaders|flagEndStream, 1, 0xbe))
			u.answer(1)
		},
		"DATA that it may not send": func(u *uploading) {
			u.send(post(3, "/3"), body(3, withholdMost))
			u.answer(3)
		},
		"many streams": func(u *uploading) {
			for stream := uint32(3); stream < 3+2*withholdMost/100; stream += 2 {
				u.send(appendFrame(nil, typeHeaders, flagEndHeaders|flagEndStream, stream,
					append(get(stream, "/3")[headSize:], append([]byte{0, 1, 'x', 100}, bytes.Repeat([]byte("v"), 100)...)...)...))
			}
		},
		"the end of the connection": func(u *uploading) {
			u.send(get(3, "/3"))
			must.Do(t, u.Conn.(*net.TCPConn).CloseWrite())
		},
		"half a frame at the end": func(u *uploading) {
			u.send(get(3, "/3"), []byte{0, 0, 1})
			must.Do(t, u.Conn.(*net.TCPConn).CloseWrite())
		},
		"GOAWAY": func(u *uploading) {
			u.send(get(3, "/3"), goAway(0, 0))
			u.answer(3)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, _ := upload(t, patience, patience)
			u.told(0, windowOf(1))
			u.settled()
			sends(u)
			u.heard("/3")
		})
	}
}

// TestWithhold_BeforeGoAway: a connection that is asked to leave has every stream of its client's first.
func TestWithhold_BeforeGoAway(t *testing.T) {
	t.Parallel()
	u, _ := upload(t, patience, patience)
	u.told(0, windowOf(1))
	u.settled()
	u.send(post(3, "/3"))
	u.settled()
	conn := u.any()
	go conn.Leave(patience)
	u.heard("/3")
	u.until(func(f *frame) bool { return f.head.kind() == typeGoAway })
	ping := must.Get(u.raw.next())(t)
	u.send(appendFrame(nil, typePing, flagAck, 0, ping.payload...))
	all := u.until(func(f *frame) bool { return f.head.kind() == typeGoAway })
	if last := binary.BigEndian.Uint32(all[len(all)-1].payload); last != 3 {
		t.Errorf("GOAWAY names stream %d", last)
	}
	u.send(body(3, 10), body(1, 10))
	u.answer(1)
}

// TestWithhold_BusyClients of net/http's upload or download without a rest, and do not dial again.
func TestWithhold_BusyClients(t *testing.T) {
	t.Parallel()
	const size = 300_000
	for name, ask := range map[string]func(cl *http.Client, addr string) (*http.Response, error){
		"uploads": func(cl *http.Client, addr string) (*http.Response, error) {
			return cl.Post("http://"+addr+"/", "", io.LimitReader(zeros{}, size))
		},
		"downloads": func(cl *http.Client, addr string) (*http.Response, error) {
			return cl.Get(fmt.Sprintf("http://%s/bytes?%d", addr, size))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, addr := newChain(t, echo, nil)
			c.withhold = 5 * time.Millisecond
			all, dials := clients(t, 2, nil)
			var wg sync.WaitGroup
			var over atomic.Bool
			var count atomic.Int64
			for _, cl := range all {
				once := func() bool {
					resp, err := ask(cl, addr)
					var n int64
					if err == nil {
						n, err = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
					}
					if err != nil || n != size {
						t.Errorf("%d bytes, %v", n, err)
					}
					count.Add(1)
					return err == nil
				}
				once() // else it dials for each of the first requests
				for range 8 {
					wg.Go(func() {
						for !over.Load() && once() {
							continue
						}
					})
				}
			}
			for range 4 {
				for want := count.Load() + 16; count.Load() < want; {
					time.Sleep(time.Millisecond)
				}
				c.upgrade()
			}
			over.Store(true)
			wg.Wait()
			c.expectMoved(8)
			if n := dials.Load(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// zeros is a body that nobody can send again.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
