package proc

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// listening is the state of a socket that listens: TCP_LISTEN in include/net/tcp_states.h.
const listening = "0A"

// HoldersOf returns the processes whose listeners are in the way of one on the TCP address, as far as
// this process may see them. It reads the descriptors of all processes, which can take long.
func HoldersOf(address string) (holders []Holder) {
	sockets := listenersAt(address)
	if len(sockets) == 0 {
		return nil
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		at, ok := sockets[strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")]
		pid, perr := strconv.Atoi(strings.Split(link, "/")[2])
		if err != nil || !ok || perr != nil || slices.ContainsFunc(holders, func(h Holder) bool { return h.PID == pid }) {
			continue
		}
		holders = append(holders, Holder{pid, Name(pid), at})
	}
	return holders
}

// listenersAt returns the addresses of the listeners that are in the way, by the inode.
func listenersAt(address string) map[string]string {
	want, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil
	}
	found := make(map[string]string)
	for _, table := range []string{"tcp", "tcp6"} {
		f, err := os.Open("/proc/self/net/" + table)
		if err != nil {
			continue
		}
		for sc := bufio.NewScanner(f); sc.Scan(); {
			// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
			fields := strings.Fields(sc.Text())
			if len(fields) < 10 || fields[3] != listening {
				continue
			}
			if at := addressOf(fields[1]); at != nil && InTheWay(at, want) {
				found[fields[9]] = at.String()
			}
		}
		_ = f.Close()
	}
	return found
}

// addressOf reads an address as proc_net_tcp(5) has it: the words of the IP in the order of this
// machine, and the port, in hexadecimal.
func addressOf(s string) *net.TCPAddr {
	ip, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(ip)
	n, perr := strconv.ParseUint(port, 16, 16)
	if err != nil || perr != nil || len(b)%4 != 0 {
		return nil
	}
	for i := 0; i < len(b); i += 4 {
		binary.BigEndian.PutUint32(b[i:], binary.NativeEndian.Uint32(b[i:]))
	}
	return &net.TCPAddr{IP: b, Port: int(n)}
}
