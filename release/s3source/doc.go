// Package s3source has releases come from a bucket of S3, or of a server with the same API, such as MinIO, Ceph,
// Garage or Cloudflare's R2:
//
//	src := s3source.New("releases", "shop/stable", s3source.Region("eu-central-1"))
//
// The objects under the prefix are the files of [release.Dir]: release.json, release.json.minisig and the programs
// that it names. Put the programs first, the signature next and the manifest last. The right s3:GetObject is enough.
// With s3:ListBucket an object that is missing can be told from one that is forbidden.
package s3source
