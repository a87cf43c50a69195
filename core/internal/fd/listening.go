package fd

// Socket is a stream socket on which this process listens.
type Socket struct {
	FD      int    // one of its descriptors
	Inode   uint64 // equal for all descriptors of the socket
	Network string // "tcp" or "unix"
	Address string // that it is bound to, as net.Addr has it
}
