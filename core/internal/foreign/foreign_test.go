package foreign

import (
	"bytes"
	"encoding/gob"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

const (
	testPID    = 4711
	testParent = 4710
)

// in are surroundings with these variables and arguments.
func in(vars map[string]string, args ...string) Surroundings {
	return Surroundings{
		LookupEnv: func(name string) (string, bool) { v, ok := vars[name]; return v, ok },
		Args:      append([]string{"app"}, args...),
		PID:       testPID,
		Parent:    testParent,
		Listens:   func(n int) bool { return n == first },
		Ancestor:  func() bool { return vars["ANCESTOR"] != "" },
		Replaces: func() error {
			if vars["ANCESTOR"] == "" {
				return proc.ErrNotShown
			}
			return nil
		},
	}
}

// descriptors are a start's, as "3 4(web) 5(tcp :80)".
func descriptors(s *Start) string {
	var out []string
	for _, x := range s.Sockets {
		d := strconv.Itoa(x.FD)
		if what := strings.TrimSpace(x.Name + x.Network + " " + x.Address); what != "" {
			d += "(" + what + ")"
		}
		out = append(out, d)
	}
	return strings.Join(out, " ")
}

func TestRead(t *testing.T) {
	t.Parallel()
	type vars map[string]string
	pid := strconv.Itoa(testPID)
	old := vars{"ANCESTOR": "1"} // an old version has started this process
	activated := func(s *Start) bool { return s.Parent == nil && s.Owned && s.Doubt != nil && !s.Supervisable() }
	for name, c := range map[string]struct {
		vars     vars
		args     []string
		protocol string // "" for none
		sockets  string
		check    func(s *Start) bool
	}{
		"nothing":                 {},
		"an argument of its own":  {args: []string{"migrate", "-upgrade", "now"}},
		"-upgrade first":          {vars: old, args: []string{"-upgrade", "-v"}, protocol: "-upgrade", sockets: "3", check: func(s *Start) bool { return !s.Parent.Obeys && s.args[1] == "-v" && len(s.args) == 2 }},
		"--upgrade last":          {vars: old, args: []string{"-v", "--upgrade"}, protocol: "-upgrade", sockets: "3", check: func(s *Start) bool { return s.args[1] == "-v" && len(s.args) == 2 }},
		"-graceful last":          {vars: old, args: []string{"-v", "-graceful"}, protocol: "-graceful", sockets: "3", check: func(s *Start) bool { return s.Parent.Obeys }},
		"endless":                 {vars: vars{envEndless: "1", "ANCESTOR": "1"}, protocol: "endless", sockets: "3", check: func(s *Start) bool { return s.Parent.Obeys }},
		"endless, two":            {vars: vars{envEndless: "1", envOrder: ":4242,localhost:4243", "ANCESTOR": "1"}, protocol: "endless", sockets: "3(tcp :4242) 4(tcp localhost:4243)"},
		"grace":                   {vars: vars{envListenFDs: "1", "ANCESTOR": "1"}, protocol: "grace", sockets: "3", check: func(s *Start) bool { return s.Parent.Obeys && !s.Owned }},
		"systemfd":                {vars: vars{envListenFDs: "2", envListenNames: "web:unknown"}, protocol: activator.name, sockets: "3(web) 4", check: func(s *Start) bool { return s.Supervisable() && s.Owned && s.Activated() && len(s.Vars) == 2 }},
		"systemfd, an old parent": {vars: vars{envListenFDs: "2", "ANCESTOR": "1"}, protocol: activator.name, sockets: "3 4", check: func(s *Start) bool { return !s.Managed() }},
		"LISTEN_FDS=0":            {vars: vars{envListenFDs: "0", "ANCESTOR": "1"}, protocol: activator.name, check: func(s *Start) bool { return !s.Managed() }},
		"endless, no old parent":  {vars: vars{envEndless: "1"}, protocol: "endless", sockets: "3", check: activated},
		"-graceful, likewise":     {args: []string{"-v", "-graceful"}, protocol: "-graceful", sockets: "3", check: activated},
		"-upgrade, likewise":      {args: []string{"-upgrade"}, protocol: "-upgrade", sockets: "3", check: activated},
		"gracehttp, likewise":     {vars: vars{envGracehttp: "true"}, protocol: "gracehttp", sockets: "3", check: activated},
		"tableflip, likewise":     {vars: vars{envTableflip: "yes"}, protocol: "tableflip", check: func(s *Start) bool { return s.Parent.Tell != nil && s.Doubt != nil }},
		"GRACEFUL=yes":            {vars: vars{envGracehttp: "yes", "ANCESTOR": "1"}},
		"systemd, own GRACEFUL":   {vars: vars{envGracehttp: "true", envListenFDs: "1", envListenPID: pid}, protocol: "systemd", sockets: "3"},
		"own GRACEFUL_WORKER":     {vars: vars{envWorker: "3"}},
		"systemd":                 {vars: vars{envListenFDs: "2", envListenPID: pid, envListenNames: "web:unknown"}, protocol: "systemd", sockets: "3(web) 4", check: func(s *Start) bool { return s.Supervisable() && s.Owned }},
		"systemd, own -upgrade":   {vars: vars{envListenFDs: "1", envListenPID: pid}, args: []string{"-upgrade"}, protocol: "systemd", sockets: "3", check: func(s *Start) bool { return s.args == nil }},
		"systemd, then grace":     {vars: vars{envListenFDs: "1", envListenPID: "12", "ANCESTOR": "1"}, protocol: "grace", sockets: "3", check: func(s *Start) bool { return s.Parent.Obeys && len(s.Vars) == 2 }},
		"systemd, then a helper":  {vars: vars{envListenFDs: "2", envListenPID: "12", "ANCESTOR": "1"}},
		"systemd, then a script":  {vars: vars{envListenFDs: "1", envListenPID: "12"}},
		"systemd, none":           {vars: vars{envListenFDs: "0", envListenPID: pid}, protocol: "systemd"},
		"systemd, another's":      {vars: vars{envListenFDs: "-1", envListenPID: "12"}},
		"gracehttp":               {vars: vars{envGracehttp: "true", "ANCESTOR": "1"}, protocol: "gracehttp", sockets: "3", check: func(s *Start) bool { return !s.Parent.Obeys }},
		"gracehttp, others":       {vars: vars{envIsGracehttp: "1", "ANCESTOR": "1"}, protocol: "gracehttp", sockets: "3"},
		"graceful":                {vars: vars{envWorker: "1", envNumFD: "2", envParentPID: "4700", envOldWorker: "4709"}, protocol: "graceful", sockets: "3 4", check: func(s *Start) bool { return s.Master.PID == 4700 && s.Master.OldWorker == 4709 && s.Master.Leads }},
		"graceful, first":         {vars: vars{envWorker: "1", envNumFD: "1"}, protocol: "graceful", sockets: "3", check: func(s *Start) bool { return s.Master.PID == testParent && s.Master.OldWorker == 0 }},
		"tableflip":               {vars: vars{envTableflip: "yes"}, protocol: "tableflip", check: func(s *Start) bool { return s.Parent.Tell != nil && s.open != nil }},
		"overseer":                {vars: vars{envIsSlave: "1", envOverseerFDs: "1"}, protocol: "overseer", sockets: "3", check: func(s *Start) bool { return s.Master.PID == testParent && s.Master.Released != nil }},
		"overseer, later":         {vars: vars{envIsWorker: "1", envOverseerFDs: "1"}, protocol: "overseer", sockets: "3"},
		"Server::Starter":         {vars: vars{envStarter: "127.0.0.1:80=4;8080=5;[::]:80=6;/tmp/a=b=7"}, protocol: "Server::Starter", sockets: "4 5 6 7"},
		"einhorn":                 {vars: vars{envCount: "2", envFD + "0": "6", envFD + "1": "7", envMaster: strconv.Itoa(testParent)}, protocol: "einhorn", sockets: "6 7", check: func(s *Start) bool { return s.Master.Ready != nil && len(s.Vars) == 4 }},
		"einhorn, another's":      {vars: vars{envCount: "x", envMaster: "12"}},
		"systemd, then endless":   {vars: vars{envListenFDs: "1", envListenPID: "12", envEndless: "1"}, protocol: "endless", sockets: "3"},
		"under einhorn, endless":  {vars: vars{envEndless: "1", envCount: "1", envMaster: "12"}, protocol: "endless", sockets: "3"},
		"a variable like another": {vars: vars{"GRACEFUL_TIMEOUT": "true"}},
	} {
		s, err := Read(in(c.vars, c.args...))
		switch {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case s == nil:
			if c.protocol != "" {
				t.Errorf("%s: nothing", name)
			}
		case s.Protocol != c.protocol || descriptors(s) != c.sockets:
			t.Errorf("%s: %s with %s", name, s.Protocol, descriptors(s))
		case c.check != nil && !c.check(s):
			t.Errorf("%s: %+v %+v %+v", name, s, s.Parent, s.Master)
		}
	}
}

// TestIgnored: a word that anybody might choose is named, and does not count without a listener.
func TestIgnored(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Surroundings{
		"":              in(nil, "serve"),
		"GRACEFUL=true": in(map[string]string{envGracehttp: "true"}),
		"IS_GRACEFUL=1": in(map[string]string{envIsGracehttp: "1"}),
		"-graceful":     in(nil, "-graceful", "-v"),
		"--upgrade":     in(nil, "-v", "--upgrade"),
	} {
		if word := Ignored(c); word != "" {
			t.Errorf("%q with a listener", word)
		}
		c.Listens = func(int) bool { return false }
		if word := Ignored(c); word != want {
			t.Errorf("%q, want %q", word, want)
		}
		if s, err := Read(c); s != nil || err != nil {
			t.Errorf("%q without a listener: %+v %v", want, s, err)
		}
	}
}

// garbage is what each variable must not be, if the others are right.
var garbage = []struct {
	vars   map[string]string
	bad    string
	values []string
}{
	{map[string]string{}, envEndless, []string{"", "0", "-1", "yes"}},
	{map[string]string{envEndless: "1"}, envOrder, []string{"", ",", ":80,", "80", ":-1", ":99999", ":80,nothing at all", strings.Repeat(":80,", 5000) + ":80"}},
	{map[string]string{}, envListenFDs, []string{"", "-1", "two", "99999999999999999999", "5000", "1 "}},
	{map[string]string{envListenPID: "4711"}, envListenFDs, []string{"", "-1", "two", "99999999999999999999", "5000"}},
	{map[string]string{envListenPID: "4711", envListenFDs: "2"}, envListenNames, []string{"web", "a:b:c"}},
	{map[string]string{envNumFD: "1"}, envWorker, []string{"", "0", "true"}},
	{map[string]string{envWorker: "1"}, envNumFD, []string{"", "0", "-1", "one", "99999999999999999999", "5000"}},
	{map[string]string{envWorker: "1", envNumFD: "1"}, envParentPID, []string{"", "0", "-3", "me", "99999999999999999999"}},
	{map[string]string{envWorker: "1", envNumFD: "1"}, envOldWorker, []string{"", "1", "-3", "it", "4711", "4710", "99999999999999999999"}},
	{map[string]string{}, envTableflip, []string{"", "no", "1"}},
	{map[string]string{envOverseerFDs: "1"}, envIsSlave, []string{"", "0", "yes"}},
	{map[string]string{envOverseerFDs: "1"}, envIsWorker, []string{"", "0", "yes"}},
	{map[string]string{envIsSlave: "1"}, envOverseerFDs, []string{"", "-1", "all", "99999999999999999999"}},
	{map[string]string{}, envStarter, []string{"", "80", "80=", "=3", "80=-3", "80=3;", "80=3;81=3", "80=99999999999999999999", "80=x"}},
	{map[string]string{}, envCount, []string{"", "-1", "x", "5000"}},
	{map[string]string{envCount: "1"}, envFD + "0", []string{"", "-1", "x", "99999999999999999999"}},
	{map[string]string{envCount: "2", envFD + "0": "3"}, envFD + "1", []string{"", "3", "-4"}},
	{map[string]string{envCount: "1", envFD + "0": "3"}, envSocketFD, []string{"", "3", "-1", "x"}},
}

// TestGarbage: the error names the variable.
func TestGarbage(t *testing.T) {
	t.Parallel()
	for _, c := range garbage {
		for _, v := range c.values {
			vars := maps.Clone(c.vars)
			vars[c.bad] = v
			if s, err := Read(in(vars)); err == nil || !strings.Contains(err.Error(), c.bad) {
				t.Errorf("%s=%.40q with %v: %+v %v", c.bad, v, c.vars, s, err)
			}
		}
	}
}

// FuzzRead: whatever the variables hold there is an error that names one of them, or a start
// with each descriptor once.
func FuzzRead(f *testing.F) {
	var vars []string
	for _, p := range protocols {
		vars = append(vars, p.vars...)
	}
	vars = append(vars, envFD+"0", envFD+"1")
	for _, c := range garbage {
		f.Add(c.bad, c.values[0], "1", true)
	}
	f.Fuzz(func(t *testing.T, name, value, others string, known bool) {
		env := map[string]string{name: value}
		if known {
			for _, v := range vars {
				if v != name && len(v)%2 == len(value)%2 {
					env[v] = others
				}
			}
		}
		s, err := Read(in(env))
		if err != nil {
			if slices.ContainsFunc(vars, func(v string) bool { return strings.Contains(err.Error(), v) }) {
				return
			}
			t.Fatalf("%v: %v names no variable", env, err)
		}
		if s == nil {
			return
		}
		seen := map[int]bool{}
		for _, x := range s.Sockets {
			if x.FD < 0 || x.FD > maxDescriptor+maxSockets || seen[x.FD] {
				t.Fatalf("%v: %+v", env, s.Sockets)
			}
			seen[x.FD] = true
		}
		if len(s.Sockets) > maxSockets && s.Protocol != starter.name {
			t.Fatalf("%d sockets", len(s.Sockets))
		}
	})
}

func encoded(names any) []byte {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(names); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func TestNames(t *testing.T) {
	t.Parallel()
	pipe := encoded([][]string{{"listener", "tcp", ":80"}, {"packet", "udp", ":53"}, {"fd", "log"}, {"conn", "tcp", "x"}})
	names := must.Get(decodeNames(bytes.NewReader(pipe)))(t)
	got := must.Get(named(names))(t)
	if d := descriptors(&Start{Sockets: got}); d != "5(tcp :80) 6(udp :53) 7(log) 8(tcp x)" {
		t.Error(d)
	}
	if got[0].Kind != wire.KindListener || got[1].Kind != wire.KindPacket || got[2].Kind != wire.KindFile || got[3].Kind != wire.KindConn {
		t.Errorf("%+v", got)
	}
	if got[2].Network != "" || got[2].Address != "log" { // by which File finds it
		t.Errorf("%+v", got[2])
	}
	for _, bad := range [][][]string{{{}}, {{"socket", "tcp", ":80"}}, {{""}}, make([][]string, maxSockets+1)} {
		if _, err := named(bad); err == nil {
			t.Errorf("%.40q is taken", bad)
		}
	}
}

// FuzzNames: whatever is in tableflip's pipe, there is an error or sockets from descriptor 5 up.
func FuzzNames(f *testing.F) {
	f.Add(encoded([][]string{{"listener", "tcp", ":80"}}))
	f.Add(encoded([]string{"listener:tcp::80"}))
	f.Add([]byte("*"))
	f.Fuzz(func(t *testing.T, b []byte) {
		names, err := decodeNames(bytes.NewReader(b))
		if err != nil {
			return
		}
		sockets, err := named(names)
		if err == nil && len(sockets) > 0 && sockets[len(sockets)-1].FD != namesPipe+len(sockets) {
			t.Errorf("%q: %+v", names, sockets)
		}
	})
}
