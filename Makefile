# A target runs only a few commands. The commands also work without make.
SHELL := bash
FUZZCOUNT ?= 100000x
LATE ?= 60
STEPS ?= 10000000
REV ?= ba2d225
PKG ?= ./cmd/sse/internal/auth

.DEFAULT_GOAL := help
.PHONY: english shelves compare-before help test short race soak soak-steps restart stall lint fuzz late mutants mutate frameworks interop compare compare-codec compare-broker compare-hub compare-log compare-storage floods many cover check fresh

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{ printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  Variables: FUZZCOUNT=$(FUZZCOUNT) and LATE=$(LATE), STEPS=$(STEPS) for soak-steps, REV=$(REV) for compare-before, PKG=$(PKG) for mutate, FILES and SHARE=K/N to limit mutate"

test: ## test both modules
	go test work

short: ## test both modules without the slow tests
	go test -short work

race: ## test both modules with the race detector, in random order
	go test -race -shuffle=on -count=1 work

soak: ## run the tests of slow clients, reconnecting clients, shutdown, killed servers and reused descriptors at full size (an hour)
	SSE_TEST_SOAK=1 go test -count=1 -v -p 1 -timeout 2h -run '^Test(Stall|Storm|Drain|Kill|BrokerFrees)' . ./internal/soak
	SSE_TEST_SOAK=1 go test -count=1 -v -timeout 6h -race -run '^TestDescriptorReuse' ./internal/soak
	SSE_TEST_SOAK=1 go test -count=1 -v -timeout 2h ./cmd/sse/internal/segmentlog/...
	SSE_TEST_SOAK=1 go test -count=1 -v -timeout 1h -run '^TestServe' ./cmd/sse

restart: ## measure how long a hub with a million events takes to start, and to resume streams (minutes)
	go test -count=1 -run '^$$' -bench Restart -benchtime 10x -timeout 1h ./cmd/sse

stall: ## measure publishing while subscribers do not read, and with many publishers (minutes)
	go test -count=1 -run '^$$' -bench 'Stall|Publishers' -benchtime 2000x -timeout 1h ./internal/soak

lint: ## check formatting, run go vet and golangci-lint
	bash .ci/lint

english: ## check the English of comments, documentation and messages
	go run ./internal/english

shelves: ## check and show how the files of package sse depend on each other
	go run ./internal/shelves -v

fuzz: ## run every fuzz target with FUZZCOUNT inputs, for example 5000x
	bash .ci/fuzz $(FUZZCOUNT)

late: ## test the examples with a server that starts after LATE attempts of its clients to connect
	SSE_TEST_LATE=$(LATE) go test -count=1 -run '^TestLateStart$$' ./examples

soak-steps: ## test that streams resume without loss in STEPS random steps, held and parked (an hour)
	SSE_TEST_STEPS=$(STEPS) go test -count=1 -timeout 6h -run '^TestResumeProperty' ./internal/property .

mutants: ## check that the test of soak-steps detects deliberate bugs (minutes)
	SSE_TEST_MUTANTS=. go test -count=1 -timeout 1h -v -run '^TestMutantsDie$$' ./internal/mutants

mutate: ## change package PKG in small ways, and list the changes that its tests do not detect (see FILES, SHARE)
	go run ./internal/mutate $(if $(FILES),-files $(FILES)) $(if $(SHARE),-share $(SHARE)) $(PKG)

frameworks: ## test the servers in gin, echo, chi and fiber, and streams behind common middleware
	bash .ci/frameworks

interop: ## install and test with browsers, clients and servers from npm, and proxies
	bash .ci/interop

compare: ## run the same tests with every other library and update docs/BEHAVIOUR.md
	cd internal/compare && GOWORK=off go test -count=1 ./behaviour -update

compare-codec: ## compare the speed of encoding and decoding with other libraries and update docs/PERFORMANCE.md
	cd internal/compare && GOWORK=off go run ./codec -write ../../docs/PERFORMANCE.md

compare-broker: ## compare servers with up to 18,000 subscribers and update docs/PERFORMANCE.md (minutes)
	cd internal/compare && GOWORK=off go run ./broker -write ../../docs/PERFORMANCE.md

compare-hub: ## compare the cost of publishing to the hub and other servers and update docs/PERFORMANCE.md (minutes)
	cd internal/compare && GOWORK=off go run ./hub -write ../../docs/PERFORMANCE.md

many: ## measure 150,000 subscribers, and a million that receive nothing, and update docs/PERFORMANCE.md
	cd internal/compare && GOWORK=off go run ./many -write ../../docs/PERFORMANCE.md

compare-before: ## compare the performance of this tree and of commit REV (20 minutes)
	cd internal/compare && GOWORK=off go run ./before -rev $(REV)

floods: ## measure how much floods of requests delay a client of the hub, in memory and on the disk (two hours)
	cd internal/compare && GOWORK=off go run ./floods -data

compare-log: ## compare the hub's event log with the one of an earlier commit, in Pebble (30 minutes)
	cd internal/compare && GOWORK=off go run ./eventlog

compare-storage: ## compare storage libraries for the hub's events (docs/adr/0010)
	cd internal/compare && GOWORK=off go run ./storage

cover: ## show the lines of the library that no test covers
	go test -short -coverpkg=./... -coverprofile=coverage.out ./...
	go tool cover -func=coverage.out | tail -1
	go tool cover -html=coverage.out

check: ## run everything that CI runs
	bash .ci/run

fresh: ## run the commands of README.md and CI in a new Debian system that has only Go (root, an hour)
	bash .ci/fresh
