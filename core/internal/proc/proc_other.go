//go:build !linux

package proc

// Zombie is not known here.
func Zombie(int) bool { return false }

// Parent is not known here.
func Parent(int) (parent int, known bool) { return 0, false }

// Descendants are not known here.
func Descendants(int) Processes { return nil }

// HasSibling is not known here.
func HasSibling() bool { return false }

// HasYoungerSibling is not known here.
func HasYoungerSibling() bool { return false }

// Name is not known here.
func Name(int) string { return "" }

// OwnName is not known here.
func OwnName() string { return "" }

// Status is not known here.
func Status(string, string) string { return "" }

func seesOwn() bool { return false }

// Rename does nothing here.
func Rename(string) {}

func mayBeSignaledBy(int, int) bool { return false }

// HasRightsOfThis is not known here.
func HasRightsOfThis(int) bool { return false }
