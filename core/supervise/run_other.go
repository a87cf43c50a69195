//go:build !unix

package supervise

// Run is not supported here.
func Run(Config) (code int, err error) { return 1, ErrUnsupported }
