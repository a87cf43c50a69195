package otelx

import "go.opentelemetry.io/otel/attribute"

// The attributes for which the semantic conventions have none. docs/tracing.md lists them.
const (
	generation = attribute.Key("gracex.generation") // of the process that tells it

	upgradeID            = attribute.Key("gracex.upgrade.id") // names the upgrade in both processes
	upgradeOutcome       = attribute.Key("gracex.upgrade.outcome")
	upgradeOldPID        = attribute.Key("gracex.upgrade.old.pid")
	upgradeOldGeneration = attribute.Key("gracex.upgrade.old.generation")
	upgradeOldVersion    = attribute.Key("gracex.upgrade.old.version")
	upgradeNewPID        = attribute.Key("gracex.upgrade.new.pid")
	upgradeNewVersion    = attribute.Key("gracex.upgrade.new.version")
	upgradeNewExit       = attribute.Key("gracex.upgrade.new.exit")
	upgradeNewStderr     = attribute.Key("gracex.upgrade.new.stderr")
	upgradeRelease       = attribute.Key("gracex.upgrade.release")
	upgradeNextStart     = attribute.Key("gracex.upgrade.next_start")

	message = attribute.Key("gracex.message") // of an event

	probationTime    = attribute.Key("gracex.probation.time") // in seconds, as planned
	movedConnections = attribute.Key("gracex.handoff.connections")
	drainConnections = attribute.Key("gracex.drain.connections") // when it began
	drainResult      = attribute.Key("gracex.drain.result")      // what was cut, in words
)
