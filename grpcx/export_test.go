package grpcx

// InfoOf is for tests.
var InfoOf = infoOf
