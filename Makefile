# Every target is one or two commands that can be typed as well.
SHELL := bash
FUZZCOUNT ?= 100000x
LATE ?= 60
STEPS ?= 10000000

.DEFAULT_GOAL := help
.PHONY: help test short race soak soak-steps restart stall lint fuzz late mutants frameworks interop compare compare-codec compare-broker compare-hub compare-storage many cover check

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{ printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  FUZZCOUNT=$(FUZZCOUNT) for each fuzz target, LATE=$(LATE) attempts before a late start, STEPS=$(STEPS) of the soak"

test: ## test both modules
	go test work

short: ## test both modules, without what is slow
	go test -short work

race: ## test both modules under the race detector, in a random order
	go test -race -shuffle=on -count=1 work

soak: ## run what stalls, storms, drains, is killed and used again as large as the issues ask for (an hour)
	SSE_TEST_SOAK=1 go test -count=1 -v -timeout 2h -run '^Test(Stall|Storm|Drain|Kill|BrokerFrees)' .
	SSE_TEST_SOAK=1 go test -count=1 -v -timeout 6h -race -run '^TestDescriptorReuse' .
	SSE_TEST_SOAK=1 go test -count=1 -v -timeout 2h ./cmd/sse/internal/disklog
	SSE_TEST_SOAK=1 go test -count=1 -v -timeout 1h -run '^TestServe' ./cmd/sse

restart: ## measure how long a hub with a million events takes to start and to resume (minutes)
	go test -count=1 -run '^$$' -bench Restart -benchtime 10x -timeout 1h ./cmd/sse

stall: ## measure publishing while subscribers have stopped reading, and with many publishers (minutes)
	go test -count=1 -run '^$$' -bench 'Stall|Publishers' -benchtime 2000x -timeout 1h .

lint: ## check formatting, vet, and the linter's rules
	bash .ci/lint

fuzz: ## run every fuzz target for FUZZCOUNT
	bash .ci/fuzz $(FUZZCOUNT)

late: ## start the examples' servers LATE seconds after their clients
	SSE_TEST_LATE=$(LATE) go test -count=1 -run '^TestLateStart$$' ./examples

soak-steps: ## run STEPS random steps of the resume property, in about an hour
	SSE_TEST_STEPS=$(STEPS) go test -count=1 -timeout 6h -run '^TestResumeProperty$$' .

mutants: ## check that the resume property notices what is wrong, in some minutes
	SSE_TEST_MUTANTS=. go test -count=1 -timeout 1h -v -run '^TestMutantsDie$$' ./internal/mutants

frameworks: ## run the servers in gin, echo, chi and fiber, and the middleware matrix
	bash .ci/frameworks

interop: ## run browsers, npm's clients and servers, and nginx against ours (installs them)
	bash .ci/interop

compare: ## run the same cases against every library, into docs/BEHAVIOUR.md
	cd internal/compare && GOWORK=off go test -count=1 ./behaviour -update

compare-codec: ## compare the codec's speed with other libraries, into docs/PERFORMANCE.md
	cd internal/compare && GOWORK=off go run ./codec -write ../../docs/PERFORMANCE.md

compare-broker: ## compare servers with up to 18,000 subscribers, into docs/PERFORMANCE.md (minutes)
	cd internal/compare && GOWORK=off go run ./broker -write ../../docs/PERFORMANCE.md

compare-hub: ## measure what publishing to the hub costs, beside others, into docs/PERFORMANCE.md (minutes)
	cd internal/compare && GOWORK=off go run ./hub -write ../../docs/PERFORMANCE.md

many: ## 150,000 subscribers on one machine, and a million without the write, into docs/PERFORMANCE.md
	cd internal/compare && GOWORK=off go run ./many -write ../../docs/PERFORMANCE.md

compare-storage: ## compare the storage libraries for the hub's events (docs/adr/0010)
	cd internal/compare && GOWORK=off go run ./storage

cover: ## show which lines of the library no test reaches
	go test -short -coverpkg=./... -coverprofile=coverage.out ./...
	go tool cover -func=coverage.out | tail -1
	go tool cover -html=coverage.out

check: ## everything that CI does
	bash .ci/run
