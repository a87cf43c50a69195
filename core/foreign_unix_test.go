//go:build unix

package core_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestForeignBadInput: what another program passes and is not what its variables say is an error that
// names the variable, and the process ends.
func TestForeignBadInput(t *testing.T) {
	t.Parallel()
	listening, addr := opened(t, "tcp", "127.0.0.1:0")
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { packets.Close() })
	datagrams, err := packets.(*net.UDPConn).File()
	must(t, err)
	t.Cleanup(func() { datagrams.Close() })
	plain, err := os.Create(filepath.Join(t.TempDir(), "file"))
	must(t, err)
	t.Cleanup(func() { plain.Close() })
	r, w, err := os.Pipe()
	must(t, err)
	_, err = w.WriteString("no names at all")
	must(t, err)
	must(t, w.Close())
	t.Cleanup(func() { r.Close() })
	none, err := os.Open(os.DevNull)
	must(t, err)
	t.Cleanup(func() { none.Close() })

	starter := "SERVER_STARTER_PORT=127.0.0.1:80=3"
	for name, c := range map[string]struct {
		env   []string
		files []*os.File
		want  []string
	}{
		"endless, closed":          {[]string{"ENDLESS_CONTINUE=1"}, nil, []string{"ENDLESS_CONTINUE=1: descriptor 3", "endless"}},
		"endless, a file":          {[]string{"ENDLESS_CONTINUE=1"}, []*os.File{plain}, []string{"ENDLESS_CONTINUE=1: descriptor 3 is a file"}},
		"endless, datagrams":       {[]string{"ENDLESS_CONTINUE=1"}, []*os.File{datagrams}, []string{"ENDLESS_CONTINUE=1: descriptor 3 is a socket, but not a stream socket"}},
		"endless, one too few":     {[]string{"ENDLESS_CONTINUE=1", "ENDLESS_SOCKET_ORDER=" + addr + ",:1"}, []*os.File{listening}, []string{"ENDLESS_SOCKET_ORDER=", "descriptor 4"}},
		"endless, another address": {[]string{"ENDLESS_CONTINUE=1", "ENDLESS_SOCKET_ORDER=127.0.0.1:1"}, []*os.File{listening}, []string{"ENDLESS_SOCKET_ORDER: descriptor 3 is said to be 127.0.0.1:1, and is bound to " + addr}},
		"grace, closed":            {[]string{"LISTEN_FDS=1"}, nil, []string{"LISTEN_FDS=1: descriptor 3", "grace"}},
		"grace, garbage":           {[]string{"LISTEN_FDS=-1"}, nil, []string{`LISTEN_FDS="-1"`}},
		"gracehttp, a device":      {[]string{"GRACEFUL=true"}, []*os.File{none}, []string{"GRACEFUL=true: descriptor 3 is a terminal or device"}},
		"gracehttp, garbage":       {[]string{"GRACEFUL=yes"}, []*os.File{listening}, []string{`GRACEFUL="yes"`}},
		"graceful, closed":         {[]string{"GRACEFUL_WORKER=1", "GRACEFUL_NUMFD=1"}, nil, []string{"GRACEFUL_WORKER=1: descriptor 3", "graceful"}},
		"graceful, garbage":        {[]string{"GRACEFUL_WORKER=1", "GRACEFUL_NUMFD="}, nil, []string{`GRACEFUL_NUMFD=""`}},
		"overseer, a file":         {[]string{"OVERSEER_IS_SLAVE=1", "OVERSEER_NUM_FDS=1"}, []*os.File{plain}, []string{"OVERSEER_NUM_FDS=1: descriptor 3 is a file"}},
		"starter, closed":          {[]string{starter}, nil, []string{starter + ": descriptor 3", "Server::Starter"}},
		"starter, garbage":         {[]string{"SERVER_STARTER_PORT=80"}, nil, []string{"SERVER_STARTER_PORT", `"80" is not`}},
		"einhorn, a file":          {[]string{"EINHORN_FD_COUNT=1", "EINHORN_FD_0=3"}, []*os.File{plain}, []string{"EINHORN_FD_COUNT=1: descriptor 3 is a file"}},
		"einhorn, command socket":  {[]string{"EINHORN_FD_COUNT=1", "EINHORN_FD_0=3", "EINHORN_SOCK_FD=4"}, []*os.File{listening, plain}, []string{"EINHORN_SOCK_FD=4: descriptor 4 is a file"}},
		"tableflip, closed":        {[]string{"TABLEFLIP_HAS_PARENT_7DIU3=yes"}, nil, []string{"TABLEFLIP_HAS_PARENT_7DIU3=yes: descriptor 3"}},
		"tableflip, a listener":    {[]string{"TABLEFLIP_HAS_PARENT_7DIU3=yes"}, []*os.File{listening, listening}, []string{"TABLEFLIP_HAS_PARENT_7DIU3=yes: descriptor 3 is a socket, not a pipe"}},
		"tableflip, garbage":       {[]string{"TABLEFLIP_HAS_PARENT_7DIU3=yes"}, []*os.File{r, r}, []string{"TABLEFLIP_HAS_PARENT_7DIU3=yes: the names on descriptor 4"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := prepare(t)
			install(t, filepath.Join(a.dir, "app"))
			a.env, a.files = c.env, c.files
			a.start("app", "./app", "-addr", addr)
			end := a.expect("end", 0)
			for _, want := range append(c.want, "nothing was handed over") {
				if !strings.Contains(end.Err, want) {
					t.Errorf("%q, want %q", end.Err, want)
				}
			}
		})
	}
}
