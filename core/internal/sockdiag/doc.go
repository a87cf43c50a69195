// Package sockdiag asks Linux about sockets, by the netlink of sock_diag(7): about one connection, or about all sockets
// that listen. That does not depend on how many sockets there are, as a look into /proc/net or /proc/self/fd does.
//
// Each function opens a socket of its own for its question, and sees the network namespace of the calling thread. A kernel
// without sock_diag, or a sandbox without AF_NETLINK, is an error.
package sockdiag
