// Package logkeys has nothing but a test. It reads what gracex logs from the source of all modules, and holds that a key of
// an attribute is one thing everywhere, that no duration is a number, and that docs/logging.md has each key.
package logkeys
