//go:build !linux

package fd

// Listening finds nothing here: no file names the descriptors of this process.
func Listening() ([]Socket, error) { return nil, ErrUnsupported }

// Look is Listening.
func (l *Listeners) Look() ([]Socket, error) { return Listening() }

// Inode is not known here.
func Inode(int) (uint64, bool) { return 0, false }
