package main

// hub knows the members, and tells each of them what is said. Its goroutine alone has the map.
type hub struct {
	members  map[*member]bool
	joins    chan *member
	leaves   chan *member
	messages chan []byte
}

func newHub() *hub {
	return &hub{
		members: make(map[*member]bool), joins: make(chan *member), leaves: make(chan *member), messages: make(chan []byte),
	}
}

func (h *hub) run() {
	for {
		select {
		case m := <-h.joins:
			h.members[m] = true
			if !m.moved { // the others know a member that has moved
				h.tell([]byte("* " + m.nick + " has joined"))
			}
		case m := <-h.leaves:
			if h.members[m] {
				h.drop(m)
				h.tell([]byte("* " + m.nick + " has left"))
			}
		case message := <-h.messages:
			h.tell(message)
		}
	}
}

func (h *hub) tell(message []byte) {
	for m := range h.members {
		select {
		case m.send <- message:
		default: // it does not read
			h.drop(m)
		}
	}
}

func (h *hub) drop(m *member) {
	delete(h.members, m)
	close(m.send)
}
