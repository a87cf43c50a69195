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
	keys    []packed
	table   []int32 // open addressing; the number of a state and one
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
	key := &st.keys[id]
	for i := range s.p {
		s.p[i] = st.procs.values[key[i]]
	}
	for i := range s.l {
		s.l[i] = st.links.values[key[maxProcs+i]]
	}
	s.g = st.globals.values[key[2*maxProcs-1]]
}

func (key *packed) hash() uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, x := range key {
		h = (h ^ uint64(x)) * 0xff51afd7ed558ccd
		h ^= h >> 32
	}
	return h
}

// add returns the number of a state, and whether it is new.
func (st *store) add(key packed) (int32, bool) {
	if 2*(len(st.keys)+1) > len(st.table) {
		st.grow()
	}
	mask := uint64(len(st.table) - 1)
	for at := key.hash() & mask; ; at = (at + 1) & mask {
		id := st.table[at]
		if id == 0 {
			st.keys = append(st.keys, key)
			st.table[at] = int32(len(st.keys))
			return int32(len(st.keys) - 1), true
		}
		if st.keys[id-1] == key {
			return id - 1, false
		}
	}
}

func (st *store) grow() {
	st.table = make([]int32, max(1<<12, 2*len(st.table)))
	mask := uint64(len(st.table) - 1)
	for i := range st.keys {
		at := st.keys[i].hash() & mask
		for st.table[at] != 0 {
			at = (at + 1) & mask
		}
		st.table[at] = int32(i + 1)
	}
}
