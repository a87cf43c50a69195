//go:build unix && !linux

package fd

// keepAliveOptions: package syscall does not name them on all systems. They get Go's defaults.
var keepAliveOptions []option
