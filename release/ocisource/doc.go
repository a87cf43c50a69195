// Package ocisource has releases come from a registry of container images, as an OCI artifact:
//
//	src := ocisource.New("ghcr.io/team/shop:stable")
//
// Each file of a release is a layer of the artifact, whose annotation org.opencontainers.image.title is its name.
// The files are those of [release.Dir]: release.json, release.json.minisig and the programs that it names. This is
// what ORAS makes of a folder:
//
//	cd dist && oras push --artifact-type application/vnd.gracex.release.v1 \
//		ghcr.io/team/shop:stable release.json release.json.minisig shop_linux_amd64
//
// A registry changes all files of a tag at once, so a manifest always fits its signature. The artifact type is for
// people and is not looked at.
package ocisource
