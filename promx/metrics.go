package promx

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
)

// nameBuildInfo tells that the metrics are there.
const nameBuildInfo = "gracex_build_info"

// The metrics. docs/metrics.md says more of each.
var (
	buildInfo  = describe(nameBuildInfo, "The version and the generation of the current process, and the Go release of the one that answers; always 1.", "version", "generation", "goversion")
	generation = describe("gracex_generation", "The number of the current generation.")
	startTime  = describe("gracex_start_timestamp_seconds", "When the first process of the service began, in seconds since 1970; 0 if it is not known.")

	requests = describe("gracex_requests_total", "Requests whose handler has returned.", "server")
	accepted = describe("gracex_connections_accepted_total", "Connections that were accepted.", "server")

	moved      = describe("gracex_connections_moved_total", "Connections that went to another process, each as often as it went.", "protocol", "tls")
	movedState = describe("gracex_moved_state_bytes_total", "State that went to another process with its connection, in bytes.")
	stayed     = describe("gracex_connections_stayed_total", "Connections that were to move and did not.", "protocol", "reason")
	refused    = describe("gracex_connections_refused_total", "Connections that the next process did not take.")
	closed     = describe("gracex_connections_closed_total", "Connections that a drain has closed between two requests.", "reason")

	cutRequests    = describe("gracex_requests_cut_total", "Requests that were cut at the deadline of a drain; they are lost.")
	cutConnections = describe("gracex_connections_cut_total", "Connections that were cut at the deadline of a drain, without the hijacked ones.")
	cutHijacked    = describe("gracex_hijacked_connections_cut_total", "Hijacked connections (WebSocket) that were cut at the deadline of a drain.")
	cutSockets     = describe("gracex_sockets_cut_total", "Datagram sockets that were cut at the deadline of a drain.")
	cutBackground  = describe("gracex_background_cut_total", "Functions of core.WhileCurrent that did not return by the deadline of a drain.")

	upgrades       = describe("gracex_upgrades_total", "Upgrades by what has become of them, and why.", "outcome", "reason")
	upgradeSeconds = describe("gracex_upgrade_duration_seconds", "How long upgrades took, from the request to the outcome, without those that were refused.")
	drainSeconds   = describe("gracex_drain_duration_seconds", "How long drains took.")
	lastSuccess    = describe("gracex_last_upgrade_success_timestamp_seconds", "When the last good upgrade ended, in seconds since 1970; 0 if there was none.")
	lastFailure    = describe("gracex_last_upgrade_failure_timestamp_seconds", "When the last upgrade that was not good ended, in seconds since 1970; 0 if there was none.")

	generations     = describe("gracex_generations", "Processes that run.", "state")
	openRequests    = describe("gracex_open_requests", "Requests that are being read or answered.", "state")
	openConnections = describe("gracex_open_connections", "Open connections, without the hijacked ones.", "state")
	openHijacked    = describe("gracex_open_hijacked_connections", "Open connections that handlers have taken over (WebSocket).", "state")

	missing = describe("gracex_missing_processes_total", "Processes that were killed: what they had counted last is in no other counter.")
)

// descriptions are those of all metrics.
var descriptions []*prometheus.Desc

func describe(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc(name, help, labels, nil)
	descriptions = append(descriptions, d)
	return d
}

// What gracex_connections_closed_total says as the reason.
const (
	closedPolitely = "last_answer" // the answer before had said so
	closedIdle     = "idle"        // at the end of the drain
)

// noReason is the reason of what is good.
const noReason = ""

// The values of labels whose series are there from the beginning.
var (
	knownStates = [][]string{
		{core.StateStarting.String()}, {core.StateCurrent.String()}, {core.StateUpgrading.String()}, {core.StateProbation.String()},
		{core.StateDraining.String()}, {core.StateStopping.String()},
	}
	knownMoved = [][]string{
		{control.ProtocolHTTP1, "false"}, {control.ProtocolHTTP1, "true"},
		{control.ProtocolHTTP2, "false"}, {control.ProtocolHTTP2, "true"},
		{control.ProtocolWebSocket, "false"}, {control.ProtocolWebSocket, "true"},
		{control.ProtocolOther, "false"}, {control.ProtocolOther, "true"},
	}
	knownStayed = [][]string{ // the words of core.StayedHTTP2 and core.StayedTLS
		{control.ProtocolHTTP2, "streams"}, {control.ProtocolHTTP2, "refused"}, {control.ProtocolHTTP2, "other"},
		{control.ProtocolTLS, "version"}, {control.ProtocolTLS, "suite"}, {control.ProtocolTLS, "key"}, {control.ProtocolTLS, "other"},
	}
	knownUpgrades = [][]string{
		{control.KindUpgraded, noReason},
		{control.KindRefused, control.ReasonVetoed}, {control.KindRefused, control.ReasonInProgress},
		{control.KindRefused, control.ReasonStopped}, {control.KindRefused, control.ReasonNotStarted},
		{control.KindRefused, control.ReasonTimeout}, {control.KindRefused, control.ReasonCanceled},
		{control.KindRefused, control.ReasonOther},
		{control.KindFailed, control.ReasonNotStarted}, {control.KindFailed, control.ReasonExited},
		{control.KindFailed, control.ReasonSaidFailed}, {control.KindFailed, control.ReasonCanceled},
		{control.KindFailed, control.ReasonOther},
		{control.KindTimedOut, control.ReasonTimeout},
		{control.KindRolledBack, control.ReasonExited}, {control.KindRolledBack, control.ReasonTimeout},
		{control.KindRolledBack, control.ReasonRejected}, {control.KindRolledBack, control.ReasonOperator},
		{control.KindRolledBack, control.ReasonOther},
		{control.OutcomeTakenBack, control.ReasonExited}, {control.OutcomeTakenBack, control.ReasonOther},
	}
)
