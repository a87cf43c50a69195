package conns

// sleeper is a connection that may wait for a request, and does not know of the mover then.
type sleeper interface {
	wake()        // has it offer itself to the mover, now or at its next boundary
	invite()      // has it do so at its next boundary only
	recent() bool // it has just answered a request
}

// round is the order in which connections are asked to move. The client of one that has just answered is about to send
// the next request, and waits for as long as the connection is on its way. So it is not woken: it is invited, and
// offers itself as soon as it has answered that request, when its client has the most time. Two of them at once are
// enough, because a new process that gets many at once answers them one after the other. Whoever is still there when
// all have been asked is woken.
type round struct {
	recent  []sleeper
	others  []sleeper
	invited []sleeper
	rest    func() []sleeper // who is to be woken in the end besides; nil when they have been
}

// newRound makes the round of some connections. Rest is called once, when they have been asked.
func newRound(all []sleeper, rest func() []sleeper) *round {
	r := &round{rest: rest}
	for _, c := range all {
		if c.recent() {
			r.recent = append(r.recent, c)
		} else {
			r.others = append(r.others, c)
		}
	}
	r.turn()
	return r
}

// ask asks as many as that, of which a recent one counts as several.
func (r *round) ask(batch int) {
	n := min(len(r.recent), batch/weight)
	for _, c := range r.recent[:n] {
		c.invite()
	}
	r.invited = append(r.invited, r.recent[:n]...)
	r.recent = r.recent[n:]
	if n == 0 {
		n = min(len(r.others), batch)
		for _, c := range r.others[:n] {
			c.wake()
		}
		r.others = r.others[n:]
	}
	r.turn()
}

// turn goes on to the rest when all others have been asked.
func (r *round) turn() {
	if r.left() > 0 || r.rest == nil {
		return
	}
	r.others = r.rest()
	if r.others == nil {
		r.others = r.invited // some have moved meanwhile
	}
	r.invited, r.rest = nil, nil
}

// left is how many are to be asked, counted as ask counts them.
func (r *round) left() int { return len(r.recent)*weight + len(r.others) }
