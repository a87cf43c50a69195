// Package overseer has the surface of github.com/jpillora/overseer over gracex: moving over is a change of import. A
// process that overseer's master has started takes its sockets over, so the upgrade that brings the change loses nothing
// either. docs/migration/overseer.md says what behaves differently.
//
//	import (
//		"github.com/gracex-go/gracex/core/compat/overseer"
//		"github.com/gracex-go/gracex/core/compat/overseer/fetcher"
//	)
//
//	overseer.Run(overseer.Config{
//		Program: prog,
//		Address: ":3000",
//		Fetcher: &fetcher.HTTP{URL: "https://dl.example.org/shop"},
//		Keys:    []string{"RWQ..."}, // the line of minisign's public key
//	})
//
// There is no master process. Program runs in the process that is started, and serves until a new one is ready.
//
// A fetched program is never run to see whether it is one, and never replaces a file. It is checked, becomes a release
// (package release), and the process upgrades to it. Only when its probation is over is it what the next start gets. One
// that was bad is never started again.
package overseer
