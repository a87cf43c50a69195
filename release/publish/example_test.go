package publish_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/publish"
)

// A new key is written to shop.key and shop.pub, and its public half goes to the hosts.
func ExampleNewKey() {
	key, err := publish.NewKey()
	if err != nil {
		log.Fatal(err)
	}
	if _, _, err := key.Write("keys", "shop", ""); err != nil {
		log.Fatal(err)
	}
	fmt.Println("the hosts get", key.Public())
}

// The output folder of goreleaser becomes a release, for a tenth of the hosts at once and for all after two hours.
func ExamplePublish() {
	key, err := publish.ReadKey("keys/shop.key", nil)
	if err != nil {
		log.Fatal(err)
	}
	r, err := publish.Publish(context.Background(), publish.Options{
		Dir: "dist", Out: "public", Key: key,
		Waves: []release.Wave{{Share: 0.1, After: "0s"}, {Share: 1, After: "2h"}},
	})
	if errors.Is(err, publish.ErrRefused) {
		log.Fatal("hosts would not accept it: ", err)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Manifest.Version, "has serial", r.Manifest.Serial)
}

// A SHA256SUMS of another tool is signed. What it is, is said here.
func ExampleSign() {
	key, err := publish.ReadKey("keys/shop.key", nil)
	if err != nil {
		log.Fatal(err)
	}
	m := release.Manifest{Name: "shop", Version: "1.5.0", Serial: 42}
	if _, err := publish.Sign("dist/SHA256SUMS", key, nil, m); err != nil {
		log.Fatal(err)
	}
}

// A release is looked at as a host does it.
func ExampleVerify() {
	key, err := publish.PublicKey("keys/shop.pub")
	if err != nil {
		log.Fatal(err)
	}
	v, err := publish.Verify(context.Background(), "public", []string{key}, "")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(v.Manifest.Name, v.Manifest.Version, "is signed by", publish.KeyID(v.Signer))
}
