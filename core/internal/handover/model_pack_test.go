package handover

// packed is a state by the numbers of its parts: few processes look different, so each is kept once.
type packed [2 * maxProcs]uint32

// parts numbers the values of one type.
type parts[T comparable] struct {
	number map[T]uint32
	values []T
}

func (p *parts[T]) intern(v *T) uint32 {
	id, ok := p.number[*v]
	if !ok {
		if p.number == nil {
			p.number = make(map[T]uint32)
		}
		id = uint32(len(p.values))
		p.number[*v] = id
		p.values = append(p.values, *v)
	}
	return id
}

// store holds the states that were found, in their order.
type store struct {
	procs   parts[proc]
	links   parts[link]
	globals parts[globals]
	states  parts[packed]
}

// pack returns the numbers of s. Most of them are those of from, whose key is known.
func (st *store) pack(s, from *state, key packed) packed {
	for i := range s.p {
		if from == nil || s.p[i] != from.p[i] {
			key[i] = st.procs.intern(&s.p[i])
		}
	}
	for i := range s.l {
		if from == nil || s.l[i] != from.l[i] {
			key[maxProcs+i] = st.links.intern(&s.l[i])
		}
	}
	if from == nil || s.g != from.g {
		key[2*maxProcs-1] = st.globals.intern(&s.g)
	}
	return key
}

// get unpacks a state.
func (st *store) get(id int32, s *state) {
	key := &st.states.values[id]
	for i := range s.p {
		s.p[i] = st.procs.values[key[i]]
	}
	for i := range s.l {
		s.l[i] = st.links.values[key[maxProcs+i]]
	}
	s.g = st.globals.values[key[2*maxProcs-1]]
}

// add returns the number of a state, and whether it is new.
func (st *store) add(key packed) (int32, bool) {
	known := len(st.states.values)
	id := st.states.intern(&key)
	return int32(id), int(id) == known
}
