// Package peer speaks the handover protocol (docs/protocol.md) with one other process at a time.
//
// Next is the new process as the old one sees it, Old is the old process as the new one sees it, and Link
// leads to the supervisor. They read and write words, pass descriptors, notice the end of the other process
// and end it in their time. What the words mean for the service is decided above.
package peer
