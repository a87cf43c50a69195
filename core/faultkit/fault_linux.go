package main

import "time"

// fault is what goes wrong.
type fault string

// The faults that can come at nearly every step.
const (
	faultNone     fault = "none"
	faultKillOld  fault = "kill-old" // kill -9 of the old process
	faultKillNew  fault = "kill-new" // kill -9 of the new one
	faultStopOld  fault = "stop-old" // the old process stands still for a while
	faultStopNew  fault = "stop-new" // the new one does
	faultSuspend  fault = "suspend"  // both do, and what is between them: a machine that sleeps
	faultCut      fault = "cut"      // the handover socket is gone, and both live
	faultTruncate fault = "truncate" // half of the frame comes, and then the same
	faultGarbage  fault = "garbage"  // as many bytes come, with the same descriptors, and mean nothing
)

// The faults that have their own steps.
const (
	faultLongStopOld fault = "long-stop-old" // it stands still until the new process has given it up
	faultFilesOld    fault = "emfile-old"    // the old process can't open anything for a while
	faultFilesNew    fault = "emfile-new"    // the new one can't
	faultDisk        fault = "enospc"        // the disk with the pid file is full for a while
	faultDeleted     fault = "deleted"       // the program's file is gone
	faultNoProgram   fault = "no-program"    // there is something else in its place that can't be executed
	faultScript      fault = "script"        // there is a program that complains, and exits with status 3
	faultSlow        fault = "slow"          // the new process takes its time before it does anything
)

var faults = []fault{
	faultNone, faultKillOld, faultKillNew, faultStopOld, faultLongStopOld, faultStopNew, faultSuspend,
	faultCut, faultTruncate, faultGarbage, faultFilesOld, faultFilesNew, faultDisk,
	faultDeleted, faultNoProgram, faultScript, faultSlow,
}

// How long faults last.
const (
	// stopTime is longer than every time after which one process finds the other one
	// hung, but for the next, and than the ready timeout of the kit's own server.
	stopTime = 7 * time.Second
	// longStopTime is longer than a new process waits for an answer to "ready".
	longStopTime = 12 * time.Second
	// shortageTime is how long descriptors or disk are short: time for an upgrade to
	// fail, or for one under way to feel it.
	shortageTime = 2 * time.Second
	// slowTime is within every ready timeout.
	slowTime = time.Second
)
