//go:build unix

package wsmove

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// TestMove_NobodySpeaksBeforeTheRoomIsComplete: one handler takes its time to join.
func TestMove_NobodySpeaksBeforeTheRoomIsComplete(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	var joined atomic.Int64
	first, second, addr := pair(t, echo("first"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Move(r)
		if r.URL.Path == "/late" {
			<-goOn
		}
		joined.Add(1)
		_ = onMessages(w, func(l *library, message string) error {
			if joined.Load() != 2 {
				t.Error("a message is read before all have joined")
			}
			return l.write("second " + message)
		})
	}), WithGather(patience))
	early, late := dial(t, addr, "/"), dial(t, addr, "/late")
	early.send(text("half")[:8])
	late.send(text("half")[:8])
	first.hasRead(16)
	first.leave()
	await(t, "reading has stopped", first.allSealing)
	early.send(text("half")[8:])
	late.send(text("half")[8:])
	second.awaits(1)
	await(t, "the first one would read", func() bool { return second.missing() == 1 })
	early.silent(20 * time.Millisecond)
	close(goOn)
	early.hears("second half")
	late.hears("second half")
	await(t, "the gate is forgotten", second.hasNoGate)
}

// hasNoGate reports whether p knows no gate.
func (p *played) hasNoGate() bool {
	p.mover.mu.Lock()
	defer p.mover.mu.Unlock()
	return len(p.gates) == 0
}

// missing returns how many connections p's gates wait for.
func (p *played) missing() (n int) {
	p.mover.mu.Lock()
	defer p.mover.mu.Unlock()
	for _, g := range p.gates {
		g.mu.Lock()
		n += g.left
		g.mu.Unlock()
	}
	return n
}

// silent checks that nothing comes for a while. It can miss something that comes late, and does not fail without.
func (c *client) silent(d time.Duration) {
	c.t.Helper()
	must.Do(c.t, c.SetReadDeadline(time.Now().Add(d)))
	if b, err := c.in.Peek(1); err == nil {
		c.t.Fatalf("%q comes too early", b)
	}
}

// TestMove_ThoseWhoHaveComeGoOn when others that were announced do not come in time.
func TestMove_ThoseWhoHaveComeGoOn(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	defer close(goOn)
	first, second, addr := pair(t, echo("first"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			<-goOn
		}
		echo("second")(w, r)
	}), WithGather(time.Millisecond))
	second.gateTime = time.Millisecond
	early := dial(t, addr, "/")
	dial(t, addr, "/late")
	first.awaits(2)
	first.leave()
	second.awaits(1)
	early.say("1")
	early.hears("second 1")
	await(t, "it is logged", func() bool { return strings.Contains(second.log.String(), "missing=") })
	await(t, "the gate is forgotten", second.hasNoGate)
}

// hub is a chat's, as in gorilla's example: one goroutine has the members, each member has two more.
type hub struct {
	join, part chan *member
	said       chan string
}

type member struct {
	l    *library
	send chan string
}

func newHub() *hub {
	h := &hub{make(chan *member), make(chan *member), make(chan string)}
	go h.run()
	return h
}

func (h *hub) run() {
	members := make(map[*member]bool)
	tell := func(message string) {
		for m := range members {
			select {
			case m.send <- message:
			default:
				delete(members, m)
				close(m.send)
			}
		}
	}
	for {
		select {
		case m := <-h.join:
			members[m] = true
		case m := <-h.part:
			if members[m] {
				delete(members, m)
				close(m.send)
				tell("somebody left")
			}
		case message := <-h.said:
			tell(message)
		}
	}
}

// ServeHTTP returns at once; the pumps go on.
func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	Move(r)
	l, err := upgrade(w)
	if err != nil {
		return
	}
	m := &member{l, make(chan string, 4096)}
	h.join <- m
	go func() {
		defer l.Close()
		for message := range m.send {
			if l.write(message) != nil {
				return
			}
		}
	}()
	go func() {
		defer func() {
			h.part <- m
			l.Close()
		}()
		for {
			message, err := l.read()
			if err != nil {
				return
			}
			h.said <- message
		}
	}()
}

// TestMove_ARoomLosesNothing: what each member says all hear, once and in order, and nobody is seen to leave.
func TestMove_ARoomLosesNothing(t *testing.T) {
	t.Parallel()
	const members, moves = 4, 3
	// Nobody but the members makes the hub write, so it comes to rest, however slow the machine is.
	slow := []Option{WithSettle(time.Second), WithGather(patience)}
	processes := []*played{newPlayed(t, newHub(), slow...)}
	addr := processes[0].start(false).Listener.Addr().String()
	for i := range moves {
		processes = append(processes, newPlayed(t, newHub(), slow...))
		processes[i].next = processes[i+1]
	}
	var clients []*client
	for range members {
		clients = append(clients, dial(t, addr, "/"))
	}
	processes[0].awaits(members)

	quit := make(chan struct{})
	said := make([]int, members)
	var talk, listen sync.WaitGroup
	for i, c := range clients {
		talk.Go(func() {
			for ; ; said[i]++ {
				select {
				case <-quit:
					c.say(fmt.Sprintf("%d end", i))
					return
				default:
					c.say(fmt.Sprintf("%d %d", i, said[i]))
					time.Sleep(time.Millisecond)
				}
			}
		})
		listen.Go(func() {
			heard := make([]int, members)
			for ended := 0; ended < members; {
				_, message := c.next()
				var who, n int
				switch _, err := fmt.Sscanf(message, "%d %d", &who, &n); {
				case strings.HasSuffix(message, " end"):
					ended++
				case err != nil || n != heard[who]:
					t.Errorf("member %d hears %q after %d messages of that one", i, message, heard[who])
					return
				default:
					heard[who]++
				}
			}
			talk.Wait()
			for who := range heard {
				if heard[who] != said[who] {
					t.Errorf("member %d has heard %d messages of %d from member %d", i, heard[who], said[who], who)
				}
			}
		})
	}
	for i := range moves {
		processes[i].leave()
		processes[i+1].awaits(members)
	}
	close(quit)
	talk.Wait()
	listen.Wait()
}
