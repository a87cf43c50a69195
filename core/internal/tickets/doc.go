// Package tickets has the keys with which a TLS server seals session tickets and opens them again. A client that comes
// back with a ticket resumes its session (RFC 8446, section 2.2; RFC 5077), and shakes hands without certificates.
//
// The keys are the service's: [Keys.Payload] hands them to the next process, with the time at which each was made, and
// [Keys.Take] is its side. What crypto/tls does with the keys of one process (Config.SetSessionTicketKeys) is done here
// with those of all: a new one after a day, and none that is older than seven.
//
// Each server has keys of its own, which are derived from the service's. A ticket of one server that another one opened
// would be worth the handshake with that: its certificate, and what it asks of clients.
//
// The keys are secrets. Whoever has one reads what was said over TLS 1.2 with its tickets. They are in no log, error or
// status, and a dump of goroutines has none: they are passed by pointers.
package tickets
