package main

import (
	"os"
	"strconv"

	"google.golang.org/grpc/metadata"

	"github.com/gracex-go/gracex/core"
)

// who are the headers by which this process is known.
func who() metadata.MD {
	return metadata.Pairs("x-pid", strconv.Itoa(os.Getpid()), "x-generation", strconv.Itoa(core.Generation()))
}
