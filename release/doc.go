// Package release puts a new version of a program in place and upgrades the running app to it, so that the next
// start, after a crash or at boot, always gets a version that has passed its probation.
//
// A [Store] is the directory of one app:
//
//	/srv/shop/
//	  current -> releases/1.5.0-3205f49c   what the next start gets; replaced by a rename
//	  releases/1.5.0-3205f49c/shop         one directory for each release
//	  incoming/                            what is being fetched
//	  state.json history.jsonl lock
//
// A release comes from a [Source]. Nothing that a source says is trusted: a manifest that one of the keys of [Trust]
// has signed says what the release is, down to the SHA-256 of its program. The release is fetched, checked and made
// durable before anything refers to it. Then the running app is upgraded to it by name, while current still names
// the version before. Only when its probation is over does current name the release.
//
// The program is started as /srv/shop/current/shop.
//
// A deploy is [Store.Recover], [Store.Stage] and [Store.Try], as in the example. Whoever is killed in it leaves a store
// in which current names a good release, and the next Recover goes on. A Store works on Linux, macOS and FreeBSD, and
// [Open] returns core.ErrUnsupported elsewhere. See docs/releases.md.
package release
