package ocisource_test

import (
	"fmt"

	"github.com/gracex-go/gracex/release/ocisource"
)

func ExampleNew() {
	src := ocisource.New("ghcr.io/team/shop:stable", ocisource.Anonymous())
	fmt.Println(src)
	// Output: ghcr.io/team/shop:stable
}
