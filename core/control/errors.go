package control

import "errors"

// The errors of this package wrap one of these where [errors.Is] can help a caller. ErrPermission means that the app is
// another user's, and ErrUntrusted that another user's process answers where the app should. ErrNoRelease means that
// UpgradeOptions.Release names none that the app could start.
var (
	ErrNotFound   = errors.New("no gracex app found")
	ErrAmbiguous  = errors.New("more than one gracex app runs")
	ErrRefused    = errors.New("refused")
	ErrPermission = errors.New("permission denied")
	ErrStale      = errors.New("left behind by a process that is gone")
	ErrVersion    = errors.New("another version of the control protocol")
	ErrHangs      = errors.New("the app does not answer: it hangs, or is stopped")
	ErrForeign    = errors.New("not a gracex control socket")
	ErrUntrusted  = errors.New("another user answers in the app's place")
	ErrNoRelease  = errors.New("no such release")
)

// errHungUp is for this package alone: the process that was reached has ended, or begun to, without an answer.
var errHungUp = errors.New("it has hung up without an answer")

// errNotThere is for this package alone: the app does not know the path.
var errNotThere = errors.New("the app does not know the request")

// errNotInCharge is for this package alone: a client connects again.
var errNotInCharge = errors.New("another process has the service")

// These are the codes of an ErrorBody.
const (
	CodeRefused    = "refused"     // ErrRefused; the message has the remedy
	CodePermission = "permission"  // ErrPermission
	CodeNotFound   = "not_found"   // no such path exists
	CodeMethod     = "method"      // the path needs another method
	CodeBadRequest = "bad_request" // the body is not understood, or too long
	CodeInternal   = "internal"
	CodeNoRelease  = "no_release" // ErrNoRelease

	// CodeNotInCharge means that nothing was done, and that another process has the service, or is about to have
	// it. A new connection leads there.
	CodeNotInCharge = "not_in_charge"
)

// ErrorBody is the answer to a request that was refused.
type ErrorBody struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}
