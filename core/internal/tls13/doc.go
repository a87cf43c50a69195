// Package tls13 moves a TLS 1.3 connection of a server to another process. The client sees nothing of it.
//
// A TLS 1.3 connection whose handshake is over is, besides its socket, a cipher suite, and for each direction a secret
// and the number of the next record (RFC 8446, sections 5.3 and 7.3). crypto/tls tells the secrets by
// tls.Config.KeyLogWriter and nothing else, so there are two kinds of connections:
//
//   - [First] is a connection in the process that shook hands. crypto/tls speaks on it. Below stands a conn that gives
//     crypto/tls one record at a time, and counts records. [Config] has each connection get its own secrets. Make it with
//     [Server], or where somebody else shakes hands with [ServerBy].
//   - [Conn] is the same connection in each process after that one. It is a record layer of its own.
//
// Both have Seal, which returns what the next process needs, encoded. There [Adopt] makes an [Arrived] of that, and, when the
// process before has been told, [Arrived.Taken] a Conn. So moves can follow one another, and a connection that was refused
// goes on where it was.
//
// # Invariants
//
// AES-GCM gives its key away if two records are encrypted with one nonce, and a nonce is the number of a record. So at any
// time at most one process can write:
//
//   - From Seal on nothing is encrypted by a Conn, and nothing that crypto/tls encrypts leaves a First, until
//     [Sealed.Refused]. A Conn has no key to encrypt with meanwhile: the Sealed has it. Writes wait.
//   - After [Sealed.Gone] nothing is ever encrypted or written: no data, no alert, no close_notify. A Sealed of which
//     neither is called stays sealed. Close closes the descriptor in silence then.
//   - A process that a connection comes to has no Conn before Taken, and so nothing that could write.
//   - The number of a record is used up when the record is made, whether it could be written or not. A connection of which
//     a write has failed does not move.
//
// Secrets are in no error and not in what fmt or encoding/json make of these types. The buffers that had them are cleared:
// those of a Sealed when its fate is known, a connection's when it is closed, has moved, or turns out not to be able to
// move. What crypto/tls, crypto/aes and the garbage collector have of them can't be cleared.
//
// # How a First knows where it stands
//
// Records of the handshake look like those that follow. The first record that the server has sent under its last key is
// found by opening what it writes, until then: each record is the next one of the handshake's key, or the first one of
// the last key (session tickets come before any data), or the connection does not move. The client's first one is the one
// that comes after the handshake, because crypto/tls has read no further: it has been given no more. Between two records crypto/tls
// asks for the next one only when it has given out all of the one before. A record after which it asks for another one without
// having given out data was a KeyUpdate, or had no data; the first of them makes the connection stay, because its client may
// have another key now. [Probe] tries all that with the crypto/tls that the program was built with.
//
// # The record layer
//
// Limits, errors and their texts are those of crypto/tls, Go 1.26, with these differences: errors of the peer are all
// sticky; a handshake message that is no KeyUpdate is refused at its first byte; nothing is sent after a fatal alert, or
// after a write that has failed; and the key for writing is changed before AES-GCM's limit (RFC 8446, section 5.5). As in
// crypto/tls, the time to look for a record's content type behind its padding depends on the padding's length
// (section 5.4). Nothing else here depends on what is secret, besides the standard library's own code.
//
// ConnectionState has no keying material to export on a moved connection, so its method ExportKeyingMaterial can't be
// called. With FIPS 140-3 mode (crypto/fips140) nothing moves, because this record layer is not the module's.
package tls13
