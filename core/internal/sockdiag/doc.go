// Package sockdiag asks Linux about sockets, by the netlink of sock_diag(7): about one connection, about all of
// them, or about all sockets that listen. That takes no time for the tens of thousands that only wait for late segments, as
// a look into /proc/net does, and none for a process's other descriptors, as one into /proc/self/fd does.
//
// Each function opens a socket of its own for its question, and sees the network namespace of the calling thread. A kernel
// without sock_diag, or a sandbox without AF_NETLINK, is an error.
package sockdiag
