# "go test work" means every module that go.work names. "./..." at the root
# would mean the root module alone, without a message about the others.

GO ?= go

# For the tests of one package.
TIMEOUT ?= 10m

# Which benchmarks, or which measurements of an upgrade, as "move/10000".
BENCH ?= .

# Another build of the server of "make bench-upgrade", to compare with.
AGAINST ?=

# The version that "make bench-release" compares with.
SINCE ?= $(shell git describe --tags --abbrev=0 --match 'v*' 2>/dev/null)

# How long a soak takes.
SOAK ?= 30m

# How long the storms take together.
STORM ?= 1h

# Which cells of the fault matrix, as "step/fault".
FAULTS ?= .

# How many rounds of the tests, or for how long, as in 2h.
FLAKY ?= 5

# How often "make clients" upgrades a server for each kind of client, and which of these, as "h2c/curl", "TLS-stays/curl" or
# "TLS-moves/curl".
UPGRADES ?= 50
CLIENTS ?= .

# The curl of "make clients". Version 7.88 can't use an HTTP/2 connection in the clear for a second request.
CURL ?= curl

# How long connections are idle in "make idle".
IDLE ?= 10m

# How many times "make deploys" and "make deploys-mixed" deploy.
DEPLOYS ?= 20

# How long each fuzzer runs, and which ones, as "./core/wsmove FuzzLuggage".
FUZZ ?= 10m
FUZZERS ?= .

# The supported releases of Go, oldest first, by name, because a new one can change what
# core relies on, and a machine's own Go is any of them. They come from the module proxy.
# go.work and each go.mod say "go 1.25.0", the oldest that they need. GOTOOLCHAIN chooses
# the Go that runs, also for the programs that the tests build.
GO_VERSIONS := go1.25.0 go1.26.8 go1.27.2

# The modules that go.work does not name, so that "go test work" does not build what they require: a SQLite, which takes
# a minute of processor time, a dozen libraries, exporters with a newer grpc-go, and clients of which some are other programs. They are vetted, linted
# and tested by lines of their own.
ALONE := examples/otel examples/shop internal/clients internal/ordinary release/ocisource release/s3source

# The Go of "make tip".
GOTIP ?= $(lastword $(GO_VERSIONS))

# Those of "make each-go".
EACH_GO ?= $(GO_VERSIONS)

# The tests of "make each-go". They cover what a Go release can change under core, without cgo.
GO_TESTS := ^Test(Go(_|Away)|SelfTest|Probe|HTTP2|TLS$$|NewInner|Serve_|Move_?(Beside|Idle)|Withhold_New|Upgrade_Runs|Watched_Signal)

# What is built besides the machine's own system. linux/arm64 is there because
# it lacks some of amd64's system calls.
CROSS := windows/amd64 darwin/arm64 freebsd/amd64 linux/arm64

# The tools come from the Go module proxy, each at one version.
GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION   := v1.8.0
ACTIONLINT_VERSION    := v1.7.12
# The server with the API of S3 in the tests of release/s3source.
VERSITYGW_VERSION     := v1.8.0

# A linter refuses code for a newer Go than the one it was built with, so the
# Go version is part of the place where it is kept.
TOOLS         := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gracex-tools
GOLANGCI_LINT  = $(TOOLS)/$(shell $(GO) env GOVERSION)/golangci-lint-$(GOLANGCI_LINT_VERSION)/golangci-lint
VERSITYGW     := $(TOOLS)/versitygw-$(VERSITYGW_VERSION)/versitygw

# By default a program under the race detector sleeps for 1 s before it exits. That makes the tests, which start and end
# hundreds of processes, twice as long, and the processes end otherwise than those of users.
export GORACE ?= atexit_sleep_ms=10

.DEFAULT_GOAL := help

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: test
test: ## run the tests of every module
	$(GO) test -timeout $(TIMEOUT) work

.PHONY: race
race: ## run them under the race detector, without cached results
	$(GO) test -race -count=1 -timeout $(TIMEOUT) work

.PHONY: tip
tip: ## run vet and the tests with another Go release; GOTIP=go1.28rc1 names it
	GOTOOLCHAIN=$(GOTIP) $(GO) vet work
	GOTOOLCHAIN=$(GOTIP) $(GO) test -count=1 -timeout $(TIMEOUT) work

.PHONY: each-go
each-go: ## build, vet and test a little with each supported Go release; EACH_GO names others
	@for v in $(EACH_GO); do \
		echo "$$v"; export GOTOOLCHAIN=$$v; \
		$(GO) build work && $(GO) vet work && \
		CGO_ENABLED=0 $(GO) test -count=1 -timeout $(TIMEOUT) -run '$(GO_TESTS)' ./core/... ./internal/load && \
		$(GO) test -count=1 -timeout $(TIMEOUT) -run ConfigureServer ./internal/spec || exit 1; \
	done

.PHONY: middle-go
middle-go: ## the same with those between the oldest and the newest one, which have their own tests
	@$(MAKE) each-go EACH_GO='$(filter-out $(firstword $(GO_VERSIONS)) $(lastword $(GO_VERSIONS)),$(GO_VERSIONS))'

.PHONY: oldest-go
oldest-go: ## run the tests with the oldest supported Go release
	GOTOOLCHAIN=$(firstword $(GO_VERSIONS)) $(GO) test -count=1 -timeout $(TIMEOUT) work

.PHONY: newest-go
newest-go: ## run them under the race detector with the newest one
	GOTOOLCHAIN=$(lastword $(GO_VERSIONS)) $(GO) test -race -count=1 -timeout $(TIMEOUT) work

.PHONY: bench
bench: ## run the benchmarks; BENCH=regexp chooses
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem work

.PHONY: bench-upgrade
bench-upgrade: ## measure requests, moving, upgrades and memory; BENCH=regexp chooses, AGAINST=file compares, Linux
	$(GO) run ./core/benchkit -run '$(BENCH)'$(if $(AGAINST), -against '$(AGAINST)')

.PHONY: bench-release
bench-release: ## compare upgrades with the last release's, in turn; SINCE=commit names another version, Linux
	@test -n '$(SINCE)' || { echo 'there is no tag of a release: name a version, as SINCE=commit'; exit 1; }
	@dir=$$(mktemp -d) && trap "git worktree remove --force $$dir/since; rm -rf $$dir" EXIT && \
		git worktree add --quiet --detach $$dir/since '$(SINCE)' && \
		$(GO) -C $$dir/since run ./core/benchkit -build $$dir/server && \
		$(GO) run ./core/benchkit -run '^series/' -against $$dir/server

.PHONY: bench-metrics
bench-metrics: ## compare a server that has promx and is scraped each second with one that has not; six minutes
	$(GO) run ./promx/internal/bench

.PHONY: flaky
flaky: ## run the tests again and again, busy, on one core, raced and shuffled; FLAKY=20 or FLAKY=2h
	$(GO) run ./internal/tools/flaky -for $(FLAKY) -go $(GO) -timeout $(TIMEOUT)

.PHONY: soak
soak: ## upgrade a server at random moments under mixed load; SOAK=5m says how long, Linux
	$(GO) run ./core/faultkit -soak $(SOAK)

.PHONY: faults
faults: ## upgrade a server under load with a fault at each step; FAULTS=regexp chooses, Linux
	$(GO) run ./core/faultkit -race -run '$(FAULTS)'

.PHONY: storm
storm: ## upgrade a server without a rest, kill and stop its processes, and check each request's token; STORM=4m, Linux
	$(GO) run ./core/faultkit -storm $(STORM)

.PHONY: deploys
deploys: ## deploy examples/shop under a real systemd, under load; DEPLOYS says how often, root, Linux
	CORE_TEST_SYSTEMD=1 CORE_TEST_DEPLOYS=$(DEPLOYS) $(GO) test -count=1 -v -timeout $(TIMEOUT) \
		-run '^TestDeploys$$' ./examples/systemd

.PHONY: deploys-mixed
deploys-mixed: ## deploy good and bad releases with gracex deploy, under load; DEPLOYS says how often, Linux
	GRACEX_DEPLOYS_MIXED=$(DEPLOYS) $(GO) test -count=1 -v -timeout $(TIMEOUT) -run '^TestDeploys_UnderLoad$$' ./cmd/gracex

.PHONY: deploy-matrix
deploy-matrix: ## kill a deploy at each step, and the app or not, and look what starts next; Linux
	GRACEX_DEPLOY_MATRIX=1 $(GO) test -count=1 -v -timeout $(TIMEOUT) -run '^TestRealMatrix$$' ./release

.PHONY: ordinary
ordinary: ## upgrade programs with libraries that many use, and compare them with net/http alone; Linux
	GOWORK=off $(GO) -C internal/ordinary test -count=1 -timeout $(TIMEOUT) ./...

.PHONY: clients
clients: ## upgrade a server under HTTP/2 clients of many kinds, and print a table of what they noticed; UPGRADES, CLIENTS, Linux
	CLIENTS_UPGRADES=$(UPGRADES) CLIENTS_CURL='$(CURL)' GOWORK=off $(GO) -C internal/clients test -count=1 -v -timeout 2h -run 'TestClients/$(CLIENTS)' ./...

.PHONY: idle
idle: ## upgrade a server with 1,000 idle HTTP/2 connections 20 times, and measure what each takes; IDLE says how long
	CORE_TEST_IDLE=$(IDLE) $(GO) test -count=1 -v -timeout 1h -run '^TestMove_HTTP2ConnectionsDoNotGrow$$' ./core

.PHONY: websockets
websockets: ## upgrade WebSockets of five libraries 50 times each, with clients in Go, Node and Chromium; needs npm, Linux
	$(GO) test -count=1 -v -timeout 60m -run '^TestEach' ./examples/wsecho \
		-args -ws.each -ws.sockets 32 -ws.upgrades 50 -ws.rollback 16 -ws.pause 250ms -ws.settle 100ms
	$(GO) test -count=1 -v -timeout $(TIMEOUT) -run '^TestNobodyLeaves$$' ./examples/wschat \
		-args -chat.talkers 20 -chat.upgrades 50 -chat.gap 20ms -chat.settle 100ms -chat.pause 250ms

.PHONY: page-picture
page-picture: ## make the README's pictures of the page from the demo, by Chromium
	$(GO) test -count=1 -timeout $(TIMEOUT) -run '^TestPicture$$' ./core/page/internal/browser -args -picture '$(CURDIR)/docs/images'

.PHONY: fleet
fleet: ## 500 hosts follow a source for a day, by a clock of their own; half a minute
	GRACEX_FLEET=500 $(GO) test -count=1 -v -timeout $(TIMEOUT) -run '^TestFleet$$' ./release

.PHONY: model
model: ## search every order of frames, deaths and timers of a handover; minutes and some 4 GB
	GRACEX_MODEL=long $(GO) test -count=1 -v -timeout 60m -run '^TestModel' ./core/internal/handover

.PHONY: fuzz
fuzz: ## run each fuzzer; FUZZ=1m says how long, FUZZERS=regexp which. Its findings belong into testdata/fuzz
	@for pkg in $$(grep -rl '^func Fuzz' --include='*_test.go' ./core ./release | xargs -n 1 dirname | sort -u); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$f" | grep -E '$(FUZZERS)' || continue; \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZ) $$pkg || exit 1; \
		done; \
	done

.PHONY: fmt-check
fmt-check: ## list the files that gofmt would change, and fail if there are any
	@files=$$(gofmt -l .); test -z "$$files" || { printf 'not formatted by gofmt:\n%s\n' "$$files"; exit 1; }

.PHONY: vet
vet: ## run go vet
	$(GO) vet work
	@for dir in $(ALONE); do echo "$$dir"; GOWORK=off $(GO) -C $$dir vet ./... || exit 1; done

.PHONY: lint
lint: $(GOLANGCI_LINT) ## run golangci-lint; GOOS=windows checks the files for that system
	$(GOLANGCI_LINT) run $$($(GO) list -m -f '{{.Dir}}/...')
	@for dir in $(ALONE); do echo "$$dir"; (cd $$dir && GOWORK=off $(GOLANGCI_LINT) run ./...) || exit 1; done

# It is built for this machine whatever the target, and its two hundred
# downloads are not listed.
$(GOLANGCI_LINT):
	@echo 'building golangci-lint $(GOLANGCI_LINT_VERSION)'
	@out=$$(env -u GOOS -u GOARCH CGO_ENABLED=0 GOBIN='$(@D)' $(GO) install \
		github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION) 2>&1) || \
		{ echo "$$out"; exit 1; }

.PHONY: sources
sources: ## test the sources of releases that are modules of their own, with the real servers that CORE_TEST_* name
	@for dir in release/ocisource release/s3source; do GOWORK=off $(GO) -C $$dir test -race -count=1 -timeout $(TIMEOUT) ./... || exit 1; done

.PHONY: telemetry
telemetry: ## upgrade examples/otel, and look at the traces and metrics that OpenTelemetry's server of OTLP gets
	GOWORK=off $(GO) -C examples/otel test -race -count=1 -timeout $(TIMEOUT) ./...

.PHONY: versitygw
versitygw: $(VERSITYGW) ## build the server of release/s3source's tests, and print CORE_TEST_VERSITYGW for them
	@echo 'CORE_TEST_VERSITYGW=$(VERSITYGW)'

$(VERSITYGW):
	@out=$$(env -u GOOS -u GOARCH CGO_ENABLED=0 GOBIN='$(@D)' $(GO) install \
		github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW_VERSION) 2>&1) || \
		{ echo "$$out" >&2; exit 1; }

.PHONY: vuln
vuln: ## look for known vulnerabilities, at https://vuln.go.dev
	$(GO) run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) work

.PHONY: cross
cross: $(CROSS:%=cross/%) ## build and vet for Windows, macOS, FreeBSD and another processor

cross/%:
	GOOS=$(*D) GOARCH=$(*F) $(GO) build -o /dev/null work
	GOOS=$(*D) GOARCH=$(*F) $(GO) vet work

.PHONY: tidy
tidy: ## tidy every module, and bring go.work, go.work.sum and the modules in step
	bash .ci/tidy

.PHONY: tidy-check
tidy-check: ## fail if "make tidy" would change something
	bash .ci/tidy -diff

.PHONY: published-view
published-view: ## build an empty user of each module as it would be published
	bash .ci/published-view

.PHONY: actionlint
actionlint: ## check the workflows of GitHub
	$(GO) run github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION) -shellcheck= -pyflakes=

.PHONY: ci
ci: ## run the steps of the CI
	bash .ci/run
