// Package publish makes the releases that package release accepts on a host. The command for it is "gracex release".
//
// [Publish] takes a folder of goreleaser, or one with programs in it, and fills another folder that any HTTP server, a
// GitHub release or a bucket can offer:
//
//	release.json  release.json.minisig    the manifest and its signature
//	shop_1.5.0_linux_amd64.tar.gz         one file for each system
//
// Each file is looked at as a host will look at it. The manifest and its signature come last, so that the folder never
// offers what is not there. A [Key] is one of minisign.
package publish
