// Package timing has the durations by which two processes agree on who serves, and by which one
// gives another up. They stand in one place because they depend on each other: see the test.
// docs/protocol.md has those that a process of another version relies on.
package timing

import (
	"math"
	"time"
)

// Words between the old and the new process.
const (
	// Word is how long a process waits for a word that the other one must already have written,
	// or answers at once.
	Word = 10 * time.Second
	// Say bounds the writing of a word that is worth no wait.
	Say = time.Second
	// LastWords is how long what an ended process has said last is read. It matters only if another
	// process holds its end of the socket open, so that no end comes.
	LastWords = time.Second
	// InTime is LastWords for a process that lives, and possibly says nothing.
	InTime = 100 * time.Millisecond
	// Parts is how many looks at a process that has said a part of a word wait for the rest.
	Parts = 5
	// Outlives is how long a process can take to end after it has closed the handover socket. As long has one that lives,
	// and is not heard any more, to note which connections it has taken.
	Outlives = 300 * time.Millisecond
	// AnswerPoll is how often the old process looks whether the new one, which owes it an answer,
	// lives. Its end is mostly seen at once; a wrapper script can keep the socket open.
	AnswerPoll = time.Second
	// Report is how long an old process can take to report. One of a version that knows no such
	// question never does.
	Report = 500 * time.Millisecond
	// PIDFile is how long the file system of the pid file can take. It is far above what one takes that is well,
	// and each process waits for it in vain once. The first one of a service waits once more.
	PIDFile = 2 * time.Second
	// Look is how long the first process of a service waits for a process that may be another instance. Asking one over
	// its control socket takes 2 s if that hangs.
	Look = 3 * time.Second
	// Knock is how long it is tried to connect to a socket that a killed process may have left. One that does not
	// refuse by then is somebody's.
	Knock = time.Second
	// Bind is how long another process can take to bind a socket at a path while this one waits for its turn, and
	// BindPoll is how often it is looked for. It takes no time at all if that process is well, or at most Knock.
	Bind     = 5 * time.Second
	BindPoll = time.Millisecond
	// Busy is how long a program that is open for writing can stay so before its start fails, and BusyPoll is how often
	// it is tried. A process that has inherited it from its writer has it for some milliseconds (golang/go#22315).
	Busy     = time.Second
	BusyPoll = 5 * time.Millisecond
	// AskAgain is how long one question is enough: an old process that stands still must not find many.
	AskAgain = 5 * time.Second
)

// The probation.
const (
	// Silence is how long a new process on probation can say nothing. It is far above what a busy
	// machine takes to run a goroutine.
	Silence = 5 * time.Second
	// Confirm is how long a new process that answers pings can leave a confirm without an answer:
	// the goroutine that owns its lifecycle hangs.
	Confirm = 6 * Silence
	// MinBeat and MaxBeat are the shortest and the longest time between two pings.
	MinBeat = 50 * time.Millisecond
	MaxBeat = 250 * time.Millisecond
	// TooLate is how long after a probation the old process can take the service back from a new one that
	// lives, and Alone when that goes on alone. The time in between keeps the two from deciding differently.
	TooLate = 10 * time.Second
	Alone   = 15 * time.Second
)

// The end of a process.
const (
	// Kill is how long a process has to obey SIGTERM before SIGKILL.
	Kill = 5 * time.Second
	// Dump is how long a process that hangs has to write the stacks of its goroutines and to end, before SIGTERM.
	Dump = 2 * time.Second
	// Main is how long the main function of a process that has drained has to return before SIGKILL. It may have
	// to close a database or to send what it has collected. SIGTERM comes after Kill.
	Main = 30 * time.Second
	// Reap is how long after a process's last word its end can be noticed.
	Reap = time.Second
	// Exit is how far apart two signs of the same end can be noticed: a process's exit, the end of
	// its socket, the signal that it sent, the last of its stderr.
	Exit = 200 * time.Millisecond
	// HangUp is how long a process that has closed the handover socket has to end by itself. Most
	// are on their way out; the system takes a while on a busy machine.
	HangUp = time.Second
	// EndPoll is how often such a process is looked for.
	EndPoll = 5 * time.Millisecond
	// Poll is how often a process is looked for that has no socket to this one. Nothing depends on
	// noticing its end sooner.
	Poll = 50 * time.Millisecond
	// End bounds the OnEnd hooks, and what of the events is told before them. It is less than the next process waits before
	// it kills this one.
	End = Kill - time.Second
	// Events bounds how long a process that ends waits for the functions of OnEvent.
	Events = End / 2
	// Tell is how often a process tells others what it has counted, if that has changed.
	Tell = time.Second
	// LastLines is how long a process that has drained waits at the most for its stderr to take what the new one has
	// written, and a tenth of it at the least.
	LastLines = 20 * time.Second
	// LastAnswers is how long a process that ends waits for the last answers on its control socket.
	LastAnswers = Kill - End
	// Shown bounds how long somebody who asks what was counted waits for those who are told of it. Counts can go back when
	// it runs out, as they did with 100 ms on a busy machine.
	Shown = 800 * time.Millisecond
	// MainEnds is how long what main has deferred can take in a process that goes on as the supervisor.
	MainEnds = 30 * time.Second
	// PlainSettle is how long after a SIGTERM that can mean "ready" the new process must have lived.
	// One that sends the signal and dies has not taken over.
	PlainSettle = time.Second
)

// The drain.
const (
	// Close bounds the closing or pausing of the listeners. It blocks only if another process has made a
	// socket blocking.
	Close = time.Second
	// Blocked is how long closing or pausing can take before an accept loop counts as blocked. It is far above
	// what that takes, and nothing is lost if it is too short.
	Blocked = 100 * time.Millisecond
	// Sweep is how long a stop goes on accepting what the kernel has queued: closing the listener
	// resets those connections.
	Sweep = 5 * time.Millisecond
	// StopLinger is how long a stop lets idle connections ask once more. With no next generation no
	// other process could answer.
	StopLinger = time.Second
	// IdleWindow is the most that the end of a drain takes to close idle connections one by one, so that
	// their clients do not all come back at once, and IdleTick is the grain of that.
	IdleWindow = 3 * time.Second
	IdleTick   = 20 * time.Millisecond
	// GoodbyeGap is how far apart two groups of many connections are told to leave, of which there are 64. It is less if
	// the drain is short.
	GoodbyeGap = 5 * time.Millisecond
	// GiveBack is how long no connection has moved before a process that drains gives memory back.
	GiveBack = time.Second
	// GoAway is how long a client has to answer the PING behind the first GOAWAY, before the last one goes
	// out all the same. One that keeps to RFC 9113, section 6.7, answers in a round-trip. It is a quarter of
	// the drain timeout at the most.
	GoAway = 5 * time.Second
	// LastStep is how long a Shutdown waits that is the last of two steps, for the answers to the first. Hooks of
	// RegisterOnShutdown wait with it.
	LastStep = time.Second
	// HTTP2Hold is how long nothing is read from an HTTP/2 connection that is to move, while its server owes nothing but
	// answers. A request that comes in that time waits for the slowest of them.
	HTTP2Hold = 25 * time.Millisecond
	// HTTP2Withhold is how long an HTTP/2 connection has had no moment to move when its server does not get the client's
	// next streams, for a moment. Most come to one within a few milliseconds.
	HTTP2Withhold = 100 * time.Millisecond
	// HTTP2WithholdFor is the length of that moment. A request that comes in it can be so late. It is a fifth of the time.
	HTTP2WithholdFor = 100 * time.Millisecond
	// HTTP2Moment is how long it is tried at all: a stream that does not end keeps the connection. It is a quarter of the
	// drain timeout at the most. Then the client is asked to leave.
	HTTP2Moment = 5 * time.Second
	// HTTP2Settle is the grain in which a server that is not net/http's hears that none of its connections moves any more.
	HTTP2Settle = 20 * time.Millisecond
	// Hook bounds the OnDrainTimeout hooks, and each hook of OnSignal.
	Hook = 5 * time.Second
)

// Supervisors and service managers.
const (
	// TakeBack is how long a worker that drains can take to serve again when the one that serves has
	// ended: one that stands still is in the way of the next.
	TakeBack = 10 * time.Second
	// MasterPoll is how often a worker looks whether a foreign master still lives.
	MasterPoll = 500 * time.Millisecond
	// SiblingPoll is how often a worker looks whether a foreign master has others that still drain.
	SiblingPoll = 100 * time.Millisecond
	// Dismiss is how long a foreign master can take to pass a stop signal on: less than the next generation
	// waits before it ends this process.
	Dismiss = Kill - time.Second
	// ExtendEvery is how often a stop that takes long asks the service manager for more time, and ExtendBy
	// for how much: enough for a few that come late.
	ExtendEvery = 5 * time.Second
	ExtendBy    = 15 * time.Second
	// StopEnd is what the service manager is told that a stop takes beyond its own limit, for the process
	// to end.
	StopEnd = 5 * time.Second
)

// Add is a+b, or the longest time that can be expressed. b is not negative.
func Add(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// Unlimited is the limit of what has none. It is 100 years, so that a sum of it and of any other
// time in this package can be expressed.
const Unlimited = 100 * 365 * 24 * time.Hour

// Limit is d, or Unlimited for a d of zero or less.
func Limit(d time.Duration) time.Duration {
	if d <= 0 {
		return Unlimited
	}
	return d
}
