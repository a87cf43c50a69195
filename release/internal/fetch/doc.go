// Package fetch asks an origin for a release, and bounds what it can do to this process: how long an answer may take,
// where a redirect may lead and what it gets to see, and how much is read. The sources of releases share it.
package fetch
