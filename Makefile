# Every target runs one or two commands, which also work without make.
SHELL := bash
FUZZCOUNT ?= 100000x
LATE ?= 60
STEPS ?= 10000000
REV ?= ba2d225
PKG ?= ./cmd/sse/internal/auth

.DEFAULT_GOAL := help
.PHONY: english shelves compare-before help test short race soak soak-steps restart stall lint fuzz late mutants mutate frameworks interop compare compare-codec compare-broker compare-hub compare-storage many cover check fresh

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{ printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  Variables: FUZZCOUNT=$(FUZZCOUNT) inputs per fuzz target, LATE=$(LATE) attempts for late, STEPS=$(STEPS) for soak-steps, REV=$(REV) for compare-before"

test: ## test both modules
	go test work

short: ## test both modules without the slow tests
	go test -short work

race: ## test both modules with the race detector, in random order
	go test -race -shuffle=on -count=1 work

soak: ## run the tests of stalls, storms, drains, kills and reuse at full size (an hour)
	SSE_TEST_SOAK=1 go test -count=1 -v -p 1 -timeout 2h -run '^Test(Stall|Storm|Drain|Kill|BrokerFrees)' . ./internal/soak
	SSE_TEST_SOAK=1 go test -count=1 -v -timeout 6h -race -run '^TestDescriptorReuse' ./internal/soak
	SSE_TEST_SOAK=1 go test -count=1 -v -timeout 2h ./cmd/sse/internal/disklog
	SSE_TEST_SOAK=1 go test -count=1 -v -timeout 1h -run '^TestServe' ./cmd/sse

restart: ## measure how long a hub with a million events takes to start and to resume streams (minutes)
	go test -count=1 -run '^$$' -bench Restart -benchtime 10x -timeout 1h ./cmd/sse

stall: ## measure publishing to subscribers that have stopped reading, and from many publishers (minutes)
	go test -count=1 -run '^$$' -bench 'Stall|Publishers' -benchtime 2000x -timeout 1h ./internal/soak

lint: ## check formatting, run go vet and golangci-lint
	bash .ci/lint

english: ## check the English of comments, documentation and messages
	go run ./internal/english

shelves: ## measure how the files of package sse depend on each other
	go run ./internal/shelves -v

fuzz: ## run every fuzz target with FUZZCOUNT inputs
	bash .ci/fuzz $(FUZZCOUNT)

late: ## start the servers of the examples after LATE attempts of their clients
	SSE_TEST_LATE=$(LATE) go test -count=1 -run '^TestLateStart$$' ./examples

soak-steps: ## run STEPS random steps of the resume property, with held and with parked streams, in about an hour
	SSE_TEST_STEPS=$(STEPS) go test -count=1 -timeout 6h -run '^TestResumeProperty' ./internal/property .

mutants: ## check that the resume property detects deliberate bugs (minutes)
	SSE_TEST_MUTANTS=. go test -count=1 -timeout 1h -v -run '^TestMutantsDie$$' ./internal/mutants

mutate: ## change package PKG in small ways (only FILES, SHARE=K/N), and list the changes that its tests miss
	go run ./internal/mutate $(if $(FILES),-files $(FILES)) $(if $(SHARE),-share $(SHARE)) $(PKG)

frameworks: ## test the servers in gin, echo, chi and fiber, and the middleware matrix
	bash .ci/frameworks

interop: ## test with browsers, npm clients and servers, and proxies (installs them)
	bash .ci/interop

compare: ## run the same cases against every library and update docs/BEHAVIOUR.md
	cd internal/compare && GOWORK=off go test -count=1 ./behaviour -update

compare-codec: ## compare the speed of the codec with other libraries and update docs/PERFORMANCE.md
	cd internal/compare && GOWORK=off go run ./codec -write ../../docs/PERFORMANCE.md

compare-broker: ## compare servers with up to 18,000 subscribers and update docs/PERFORMANCE.md (minutes)
	cd internal/compare && GOWORK=off go run ./broker -write ../../docs/PERFORMANCE.md

compare-hub: ## compare the cost of publishing to the hub and other servers and update docs/PERFORMANCE.md (minutes)
	cd internal/compare && GOWORK=off go run ./hub -write ../../docs/PERFORMANCE.md

many: ## measure 150,000 subscribers, and a million without writes, and update docs/PERFORMANCE.md
	cd internal/compare && GOWORK=off go run ./many -write ../../docs/PERFORMANCE.md

compare-before: ## compare this tree with commit REV, turn by turn (20 minutes)
	cd internal/compare && GOWORK=off go run ./before -rev $(REV)

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
