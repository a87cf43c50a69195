package fd

// Socket is a stream socket on which this process listens.
type Socket struct {
	FD      int    // one of its descriptors
	Inode   uint64 // equal for all descriptors of the socket
	Network string // "tcp" or "unix"
	Address string // that it is bound to, as net.Addr has it
}

// Listeners remembers the sockets on which this process listens. The zero value remembers none. It is for one goroutine at
// a time.
type Listeners struct {
	known map[uint64]bool // the inodes of what listened when found was found, of whatever process; nil before that
	found []Socket
}
