package h2

import (
	"encoding/binary"
	"sync"
)

// books are what is known of a connection from the frames that have passed. Those of the client are noted before the
// server gets them, and those of the server before they go out: so an answer is never noted before what it answers.
type books struct {
	mu sync.Mutex

	client, server Settings
	greeted        bool // the client has said SETTINGS
	last           uint32
	open           map[uint32]byte // the streams that are open, and which side has ended them
	send, receive  int64           // the connection's window for the server, and for the client
	table          table           // of the client's encoder
	block          []byte          // of a header block that has begun: what has come in the frames before this one
	unacked        []settingsOf    // SETTINGS that the client has not acknowledged, oldest first
	said, acked    uint64          // SETTINGS of the client's, and how many the server has acknowledged
	window         uint32          // what a stream's window was before it was closed for the next ones; 0: it is open
	owed           []uint32        // streams whose client has to be told that window
	pings          int             // of the client's, which the server has not answered
	asked          int             // PINGs of the server's, which the client has not answered
	stuck          string          // why the connection can't move

	first uint32 // the window of a stream, as the server has said it first
	based bool   // it has said that
}

// settingsOf says whose SETTINGS they are.
type settingsOf bool

const (
	ofServer settingsOf = false
	ofOurs   settingsOf = true // the server does not know of them, nor of the answer
)

// Sides that have ended a stream.
const (
	endedByClient = 1 << iota
	endedByServer
	endedByBoth = endedByClient | endedByServer
)

// maxBlock bounds a header block that is collected from several reads or frames, in bytes. It is more than net/http
// reads with its defaults in a frame.
const maxBlock = 64 << 10

// Why a connection can't move.
const (
	stuckClientLeaves = "its client leaves"
	stuckServerLeaves = "its server leaves"
	stuckPush         = "its server has pushed"
	stuckBlock        = "a header block is too large"
	stuckWrite        = "a write has failed"
	stuckWindow       = "its client has sent more than it may"
	stuckState        = "its state is too large"
	stuckOwes         = "its client owes the rest of a frame, or an answer to SETTINGS or PING"

	// StuckStreams is for a connection that has had a stream open all the time.
	StuckStreams = "its streams do not end"
)

func newBooks() books {
	return books{open: make(map[uint32]byte), send: initialWindow, receive: initialWindow, table: newTable()}
}

// stick notes why the connection can't move. The first reason stays.
func (k *books) stick(why string) {
	if k.stuck == "" {
		k.stuck = why
	}
}

// stickNow is stick with the mutex.
func (k *books) stickNow(why string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stick(why)
}

// clientHead notes the header of a frame of the client's, and reports whether that has to be told a window.
func (k *books) clientHead(h *head) (owed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := h.stream()
	switch h.kind() {
	case typeData:
		if k.receive -= int64(h.size()); k.receive < 0 {
			k.stick(stuckWindow)
		}
		if h.has(flagEndStream) {
			k.end(id, endedByClient)
		}
	case typeHeaders:
		if id > k.last {
			k.last = id
			k.open[id] = 0
			if owed = k.window > 0 && !h.has(flagEndStream); owed {
				k.owed = append(k.owed, id)
			}
		}
		if h.has(flagEndStream) {
			k.end(id, endedByClient)
		}
	case typeReset:
		delete(k.open, id)
	case typeGoAway:
		k.stick(stuckClientLeaves)
	}
	return owed
}

// end notes that a side has ended a stream.
func (k *books) end(id uint32, by byte) {
	was, is := k.open[id]
	if !is {
		return
	}
	if was |= by; was == endedByBoth {
		delete(k.open, id)
		return
	}
	k.open[id] = was
}

// collects reports whether the payload of such a frame of the client's is looked at.
func collects(h *head) bool {
	switch h.kind() {
	case typeHeaders, typeContinuation:
		return true
	case typeSettings:
		return !h.has(flagAck)
	case typeWindowUpdate:
		return h.stream() == 0
	}
	return false
}

// clientPayload notes the payload of such a frame.
func (k *books) clientPayload(h *head, payload []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch h.kind() {
	case typeHeaders:
		k.fragment(h, withoutPadding(h, payload))
	case typeContinuation:
		k.fragment(h, payload)
	case typeSettings:
		k.greeted = true
		k.client.take(payload)
		k.said++
	case typeWindowUpdate:
		if len(payload) == 4 {
			k.send += int64(binary.BigEndian.Uint32(payload) & maxWindow)
		}
	}
}

// withoutPadding returns the header block in the payload of HEADERS. The server rejects padding that is none.
func withoutPadding(h *head, payload []byte) []byte {
	if h.has(flagPadded) && len(payload) > 0 {
		n := int(payload[0])
		payload = payload[1:]
		payload = payload[:len(payload)-min(n, len(payload))]
	}
	if h.has(flagPriority) {
		payload = payload[min(prioritySize, len(payload)):]
	}
	return payload
}

// fragment follows a part of a header block.
func (k *books) fragment(h *head, b []byte) {
	if k.stuck != "" {
		return
	}
	whole := h.has(flagEndHeaders)
	if !whole || len(k.block) > 0 {
		if k.block = append(k.block, b...); len(k.block) > maxBlock {
			k.block = nil
			k.stick(stuckBlock)
			return
		}
		b = k.block
	}
	if !whole {
		return
	}
	if err := k.table.follow(b); err != nil {
		k.stick(err.Error())
	}
	k.block = nil
}

// acknowledges notes an acknowledgment of SETTINGS by the client, and reports whether it is the server's to see.
func (k *books) acknowledges() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.unacked) == 0 {
		return true // the server ends the connection
	}
	whose := k.unacked[0]
	k.unacked = k.unacked[1:]
	return whose == ofServer
}

// pinged notes a PING of the client's, or the answer to one of the server's.
func (k *books) pinged(answer bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if answer {
		k.asked = max(k.asked-1, 0) // RFC 9113 does not forbid one too many
	} else {
		k.pings++
	}
}

// serverHead notes the header of a frame of the server's.
func (k *books) serverHead(h *head) {
	id := h.stream()
	switch h.kind() {
	case typeData, typeHeaders:
		if h.kind() == typeData {
			k.send -= int64(h.size())
		}
		if h.has(flagEndStream) {
			k.end(id, endedByServer)
		}
	case typeReset:
		delete(k.open, id)
	case typeSettings:
		if h.has(flagAck) {
			k.acked++
		} else {
			k.unacked = append(k.unacked, ofServer)
		}
	case typePing:
		if h.has(flagAck) {
			k.pings--
		} else {
			k.asked++
		}
	case typePushPromise:
		k.stick(stuckPush)
	case typeGoAway:
		k.stick(stuckServerLeaves)
	}
}

// serverPayload notes the payload of SETTINGS or WINDOW_UPDATE.
func (k *books) serverPayload(h *head, payload []byte) {
	switch {
	case h.kind() == typeSettings && !h.has(flagAck):
		k.server.take(payload)
		k.begins(&k.server)
	case h.kind() == typeWindowUpdate && h.stream() == 0 && len(payload) == 4:
		k.receive += int64(binary.BigEndian.Uint32(payload) & maxWindow)
	}
}

// begins notes what the server has said first.
func (k *books) begins(s *Settings) {
	if !k.based {
		k.first, k.based = s.get(settingWindow), true
	}
}

// beginsNow is begins with the mutex.
func (k *books) beginsNow(s *Settings) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.begins(s)
}

// raised reports whether the server has made the windows of streams larger than it has said first. The server of the next
// process begins with the first size, and the client must not send more by then.
func (k *books) raised() bool { return k.based && k.server.get(settingWindow) > k.first }

// rests reports whether nothing is owed by either side and no stream is open. The server may have acknowledged several
// SETTINGS at once: if that is all that is not known, it has to be asked.
func (k *books) rests() (rests, ask bool) {
	if !k.greeted || len(k.open) > 0 || len(k.unacked) > 0 || k.pings != 0 || k.asked != 0 || len(k.block) > 0 || k.stuck != "" {
		return false, false
	}
	return k.acked == k.said, k.acked < k.said
}

// mayRest reports whether the connection may be able to move, or can't for good.
func (k *books) mayRest() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	rests, ask := k.rests()
	return rests || ask || k.stuck != ""
}

// state is what the connection is, if it rests.
func (k *books) state() *State {
	return &State{
		Last: k.last, Send: uint32(max(k.send, 0)), Receive: uint32(max(k.receive, 0)), Client: k.client, Server: k.server,
		Table: k.table.retell(),
	}
}

// onlyAnswersLeft reports whether the server owes the end of each open stream, and the client nothing, so that
// nothing has to be read for some time. None of these streams is to be one up to the given one.
func (k *books) onlyAnswersLeft(above uint32) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.greeted || k.stuck != "" || len(k.unacked) > 0 || k.asked > 0 || len(k.block) > 0 || k.send <= 0 {
		return false
	}
	for id, by := range k.open {
		if by&endedByClient == 0 || id <= above {
			return false
		}
	}
	return true
}
