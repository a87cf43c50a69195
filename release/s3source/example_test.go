package s3source_test

import (
	"fmt"

	"github.com/gracex-go/gracex/release/s3source"
)

// A bucket of Amazon's, with the credentials of the environment or the machine.
func ExampleNew() {
	src := s3source.New("releases", "shop/stable", s3source.Region("eu-central-1"))
	fmt.Println(src)
	// Output: s3://releases/shop/stable
}

// A server of one's own.
func ExampleEndpoint() {
	src := s3source.New("releases", "shop/stable", s3source.Endpoint("https://minio.example.org"), s3source.Region("us-east-1"))
	fmt.Println(src)
	// Output: s3://releases/shop/stable at https://minio.example.org
}
