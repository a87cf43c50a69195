// Package promx gives Prometheus the counts of a service. An upgrade, a rollback and, under a supervisor, a crash do not
// reset them. A program adds them to its own metrics by one line:
//
//	promx.MustRegister(prometheus.DefaultRegisterer)
//
// One that has no port for metrics yet gets it by an option of its run method:
//
//	core.AlsoServe(":9090", promx.Handler(), core.Named("metrics"))
//
// # Metrics
//
// Their names begin with gracex_. The counters and histograms are those of core.Totals: requests and connections by
// server, connections that moved and that stayed, what drains have cut, upgrades by outcome and reason, and how long
// upgrades and drains took. The gauges are of the processes that run: their states, what they have open, the version
// and the generation of the current one. The table is in docs/metrics.md of the repository.
//
// A series whose labels are known beforehand is there with the value 0 before its first event. So increase() sees that
// one, too.
//
// What a killed process had counted last is in no counter. gracex_missing_processes_total says that this has happened.
//
// # Other metrics
//
// The old and the new process answer a scrape with the same counts. That is so for gracex_ alone. The metrics of the Go
// runtime and of the process (go_, process_), and the program's own, are those of one process. A new process starts at
// 0, and Prometheus takes that for a restart. After a rollback the old process answers again with its own values, and
// Prometheus counts all of them a second time. The number of the process as a label avoids that:
//
//	pid := prometheus.Labels{"pid": strconv.Itoa(os.Getpid())}
//	reg := prometheus.WrapRegistererWith(pid, prometheus.DefaultRegisterer)
package promx
