package core

// GivesCapabilities reports whether a file gives its program capabilities.
var GivesCapabilities = givesCapabilities
