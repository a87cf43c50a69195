package fd

// canReplace: package syscall has no dup2 here.
const canReplace = false

// Replace is not supported here.
func Replace(int, int) error { return ErrUnsupported }

func setPipeSize(int, int) {}
