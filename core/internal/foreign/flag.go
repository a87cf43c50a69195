package foreign

import "slices"

// The flags by which a program tells its next version that it is that. The words are nobody's.
const (
	flagGraceful = "-graceful"
	flagUpgrade  = "-upgrade"
)

// Graceful is a start by the plain protocol: the flag -graceful, one listener as descriptor 3, and
// an old process that is told by SIGTERM. The flag has been taken out already.
func Graceful() *Start {
	s := &Start{Protocol: flagGraceful, Sign: flagGraceful, kinds: listeners, Sockets: fromFirst(1), Parent: &Parent{Obeys: true}}
	s.believe(Here())
	s.hold()
	return s
}

// gracefulFlag is the plain protocol with the flag at the end.
var gracefulFlag = byFlag(flagGraceful, true)

// upgradeFlag is a program with a flag of that name, whose old process goes by itself.
var upgradeFlag = byFlag(flagUpgrade, false)

// byFlag is a protocol that is known by a flag, as the first or the last argument. The word is nobody's: it counts
// only with a listener as descriptor 3.
func byFlag(flag string, obeys bool) protocol {
	return protocol{
		name:  flag,
		kinds: listeners,
		shown: func(in Surroundings) bool { return place(in.Args, flag) > 0 && in.Listens(first) },
		read: func(in Surroundings, s *Start) error {
			i := place(in.Args, flag)
			s.Sign = in.Args[i]
			s.args = slices.Delete(slices.Clone(in.Args), i, i+1)
			s.Sockets = fromFirst(1)
			s.Parent = &Parent{Obeys: obeys}
			return nil
		},
	}
}

// place is where the flag is, 0 for nowhere.
func place(args []string, flag string) int {
	last := len(args) - 1
	for _, i := range []int{1, last} {
		if i >= 1 && i <= last && (args[i] == flag || args[i] == "-"+flag) {
			return i
		}
	}
	return 0
}
