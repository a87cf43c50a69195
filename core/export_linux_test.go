package core

// GivesCapabilities reports whether a file gives its program capabilities.
var GivesCapabilities = givesCapabilities

// WhoListens is what an old process says to a new one that could not listen, which knows of the handover or not.
func (u *Upgrader) WhoListens(knows bool, text string) string {
	return u.whoListens(0, knows, []string{text})
}
