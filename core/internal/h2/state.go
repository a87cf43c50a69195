package h2

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// State is what an HTTP/2 connection is on which no stream is open and nothing is owed. It is all that another
// process needs besides the socket.
type State struct {
	Last          uint32   // the highest stream that the client has opened; 0: none
	Send, Receive uint32   // the connection's window for the server, and for the client
	Client        Settings // in force
	Server        Settings // as the client knows them
	Table         []byte   // a header block that makes the client's header table of an empty one
	Held          []byte   // what comes next of the client, before what is in the socket
}

// MaxState bounds an encoded State, in bytes. With net/http's defaults it has some 5 KiB at the most.
const MaxState = 32 << 10

// stateVersion begins an encoded State. A State of another form gets another one.
const stateVersion = 1

// ErrState is for bytes that are no State.
var ErrState = errors.New("the state of the HTTP/2 connection is not understood")

// Append appends the encoded State: the version, and then numbers as in encoding/binary's AppendUvarint: Last, Send,
// Receive, the parameters of the client's SETTINGS as pairs of a number and a value with a 0 behind them, those of the
// server's likewise, and the length of Table, which follows. What is behind that is Held.
func (st *State) Append(b []byte) []byte {
	b = append(b, stateVersion)
	for _, n := range []uint32{st.Last, st.Send, st.Receive} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	for _, s := range []*Settings{&st.Client, &st.Server} {
		for id, said := range s.said {
			if said && id > 0 {
				b = binary.AppendUvarint(b, uint64(id))
				b = binary.AppendUvarint(b, uint64(s.value[id]))
			}
		}
		b = append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(st.Table)))
	return append(append(b, st.Table...), st.Held...)
}

// ParseState reads an encoded State, and checks that a connection can be in it.
func ParseState(b []byte) (*State, error) {
	if len(b) == 0 || len(b) > MaxState || b[0] != stateVersion {
		return nil, ErrState
	}
	r := reader{b: b[1:]}
	st := &State{Last: r.number(), Send: r.number(), Receive: r.number()}
	for _, s := range []*Settings{&st.Client, &st.Server} {
		for id := r.number(); id != 0; id = r.number() {
			v := r.number()
			if id < settingEnd {
				s.set(int(id), v)
			} else {
				r.bad = true
			}
		}
	}
	n := r.number()
	if r.bad || uint64(n) > uint64(len(r.b)) {
		return nil, ErrState
	}
	st.Table, st.Held = r.b[:n:n], r.b[n:]
	t := newTable()
	if st.Last > 0 && st.Last%2 == 0 || max(st.Last, st.Send, st.Receive) > maxWindow || t.follow(st.Table) != nil {
		return nil, ErrState
	}
	return st, nil
}

// reader reads numbers.
type reader struct {
	b   []byte
	bad bool
}

// number returns 0 when there is none.
func (r *reader) number() uint32 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > 1<<32-1 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return uint32(v)
}

// Greeting is what a server says first. It depends on the settings of the http.Server, or whatever it is.
type Greeting struct {
	Settings Settings
	Window   int64     // of the connection, for the client
	Of       Transport // of the server
}

// Same reports whether a client whose connection has this State knows all of it.
func (g *Greeting) Same(st *State) bool { return len(g.Settings.change(&st.Server)) == 0 }

// Takes returns an error if a server that says this can't take a connection over, because the client
// knows, and may use, more than it permits. Nothing that is said to the client is
// in force before it has acknowledged that (RFC 9113, section 6.5.3).
func (g *Greeting) Takes(st *State) error {
	for _, p := range []struct {
		id   int
		name string
	}{
		{settingTableSize, "HEADER_TABLE_SIZE"},
		{settingStreams, "MAX_CONCURRENT_STREAMS"},
		{settingWindow, "INITIAL_WINDOW_SIZE"},
		{settingFrameSize, "MAX_FRAME_SIZE"},
		{settingHeaderListSize, "MAX_HEADER_LIST_SIZE"},
		{settingConnect, "ENABLE_CONNECT_PROTOCOL"},
	} {
		if was, is := st.Server.get(p.id), g.Settings.get(p.id); is < was {
			return fmt.Errorf("the new process says HTTP/2 %s %d, and the old one %d", p.name, is, was)
		}
	}
	if int64(st.Receive) > g.Window && g.Of != GRPC { // see leveler
		return fmt.Errorf("the new process has an HTTP/2 window of %d, and the client may send %d", g.Window, st.Receive)
	}
	t := newTable()
	if err := t.follow(st.Table); err != nil {
		return err
	}
	list := uint64(g.Settings.get(settingHeaderListSize))
	if t.max > g.Settings.get(settingTableSize) || t.settle() > list || uint64(len(st.Table)) > list {
		return fmt.Errorf("the client's header table is larger than the new process has room for")
	}
	return nil
}
