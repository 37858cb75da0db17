# Everything that a contributor runs. `make demo` and `make test` do their own set-up.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
DEADCODE := golang.org/x/tools/cmd/deadcode@v0.51.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.8.0
TOOLS := bin/tools
FUZZTIME ?= 10s
SHARD ?= 1/1
export GOFLAGS := -buildvcs=false

.PHONY: build test rbac check criteria criteria-last demo demo-up demo-down kill network racing proof ten kill-full bench-bucketsync bench-cutover docs vuln fuzz clean

build: ## the command, and the same as a kubectl plugin
	CGO_ENABLED=0 go build -trimpath -o bin/crossfade ./cmd/crossfade
	ln -sf crossfade bin/kubectl-crossfade

demo: build ## a whole migration between two local clusters, under load
	go run ./e2e/cmd/demo

demo-up: build ## the demo's clusters, stores and name servers, to play with
	go run ./e2e/rig/cmd/rig up

demo-down: ## takes down what demo-up has left
	go run ./e2e/rig/cmd/rig down

kill: ## kills a migration, and a cutover with waves, at every record of its journal, and a sync at 200 moments, runs them again or takes them back; SHARD=2/3 takes a part
	go run ./e2e/cmd/synckill -shard $(SHARD)
	go run ./e2e/cmd/kill -shard $(SHARD)

network: ## cuts a migration off from each server, in each phase, in four ways, and runs it again; SHARD=2/3 takes a part
	go run ./e2e/cmd/network -shard $(SHARD)

racing: ## 16 writers race for the names of real BIND, Knot and PowerDNS, 10,000 swaps each, under a million questions in all: nothing lost, no name without an answer
	go run ./e2e/cmd/racing

proof: ## migrations that go wrong on two real clusters under load: kills, breaches, rollbacks, silent servers, with figures
	go run ./e2e/cmd/proof

ten: build ## ten applications move between two real clusters, under clients that honour TTLs, that keep connections, and that never connect again
	go run ./e2e/cmd/ten

kill-full: ## the ten kills of make proof by themselves
	go run ./e2e/cmd/proof -only '^kill-' -title kill-full -points

bench-bucketsync: ## copies between local stores beside rclone and mc: time, CPU, memory, ratios, targets
	go run ./e2e/cmd/bench

bench-cutover: build ## 500 applications in 50 zones planned, swaps seen at every server's address with one secondary delayed, returns after a breach, beside nsupdate: targets
	go run ./e2e/cmd/benchcutover

rbac: ## takes every single rule of the printed roles away, one at a time, on light clusters and before a whole demo
	CROSSFADE_RIGHTS=all go test ./cmd/crossfade -run '^TestRights' -count=1 -v -timeout 60m
	CROSSFADE_RIGHTS=all go test ./e2e -run '^TestTheDemoIs' -count=1 -v -timeout 60m

test: build ## every test; what a machine cannot run is skipped with its reason, listed at the end
	@go run ./e2e/rig/cmd/rig install || echo "make: some tests will be skipped for want of the above"
	go run ./internal/devtools/testrun -timeout 40m -count 1 -p 2 $$(go list ./... | grep -vE '/e2e(/kill|/network)?$$') -- ./e2e ./e2e/kill ./e2e/network

criteria: ## one line for each acceptance criterion: held, failing or open
	go run ./internal/devtools/criteria -timeout 40m -p 2 ./...

criteria-last: ## the same by what the last make test left, without running anything
	go run ./internal/devtools/criteria -last

check: $(TOOLS)/golangci-lint $(TOOLS)/deadcode ## what must hold of the code before the tests run
	@echo "gofmt"; test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	@echo "vet"; go vet ./...
	@echo "lint"; $(TOOLS)/golangci-lint run ./...
	@echo "dead code"; out=$$($(TOOLS)/deadcode -test ./...); test -z "$$out" || { echo "$$out"; exit 1; }
	@echo "tidy"; go mod tidy -diff
	@echo "generated documents"; go run ./internal/devtools/docgen -check
	@echo "other systems"; for os in darwin windows; do GOOS=$$os CGO_ENABLED=0 go build -o /dev/null ./cmd/crossfade; done

docs: ## the command's reference and the file's schema, from the code
	go run ./internal/devtools/docgen

vuln: ## known vulnerabilities; needs the vulnerability database's host to be reachable
	go run $(GOVULNCHECK) ./...

fuzz: ## every fuzz target for FUZZTIME, with a summary
	go run ./internal/devtools/fuzzrun -time $(FUZZTIME)

$(TOOLS)/golangci-lint:
	GOBIN=$(CURDIR)/$(TOOLS) CGO_ENABLED=0 go install $(GOLANGCI)

$(TOOLS)/deadcode:
	GOBIN=$(CURDIR)/$(TOOLS) CGO_ENABLED=0 go install $(DEADCODE)

clean:
	rm -rf bin
