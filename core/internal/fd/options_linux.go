package fd

import "syscall"

// keepAliveOptions are the times of TCP keep-alive probes.
var keepAliveOptions = []option{
	{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 15},
	{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 15},
	{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 9},
}
