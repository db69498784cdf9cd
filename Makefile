# A target works from a fresh clone. Tools come from the modules below tools/ and land in .bin/.
MODULES := proto pkg services cmd
BIN     := $(CURDIR)/.bin
WITHBIN := PATH="$(BIN):$$PATH"
FOR     ?= 3m
SEED    ?= 0
EVERY   ?= 1
RACE    := $(shell command -v $$(go env CC) >/dev/null 2>&1 && echo -race)

# Packages whose tests run real servers, keep golden files, have fuzz targets.
REAL     = $(shell go list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' work | awk '/pkg\/testenv/ {print $$1}')
GOLDEN   = $(shell grep -rl --include='*_test.go' 'flag.Bool..update"' $(MODULES) | xargs -r dirname | sort -u | sed 's|^|./|')
FUZZED   = $(shell grep -rl --include='*_test.go' '^func Fuzz' $(MODULES) | xargs -r dirname | sort -u | sed 's|^|./|')
GENERATED := '*.pb.go' proto/schemas

.PHONY: help build test test-real conformance cover bench microbench watch-load golden sim crashes mutants chaos fuzz lint tidy generate fresh breaking baseline asyncapi up compose tools
help:      ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
build:     ## compile every module
	go build work
test:      ## run every test, with the race detector where there is a C compiler; needs nothing but Go
	go test $(RACE) -shuffle=on -timeout 20m work
	cd tools/bench && GOWORK=off go test ./...
test-real: ## run the tests of the wires on the Redis at PATCHBAY_TEST_REDIS and on three NATS servers
	@test -n "$$PATCHBAY_TEST_REDIS" || { echo 'set PATCHBAY_TEST_REDIS=redis://HOST:PORT, a server with 4000 databases; they are emptied' >&2; exit 2; }
	PATCHBAY_TEST_NATS=cluster go test $(RACE) -count=1 -p 1 -timeout 20m $(REAL)
conformance: ## let the exchanges' own clients drive the sandbox
	@test -n "$$PATCHBAY_OPENAPI" || echo 'skipped: answers are not checked against an OpenAPI document; PATCHBAY_OPENAPI says where it is' >&2
	cd tools/conformance && GOWORK=off go vet ./... && GOWORK=off go test -count=1 ./...
cover:     ## say how much of pkg and services all tests together reach
	go test -coverpkg=patchbay.io/pkg/...,patchbay.io/services/... -coverprofile=cover.out work
	@go tool cover -func=cover.out | tail -n 1
bench:     ## measure the product beside NATS alone and beside others, and write docs/performance.md; ARGS=-short only looks
	cd tools/bench && GOWORK=off go run . $(if $(ARGS),$(ARGS),-write ../../docs/performance.md)
microbench: ## run every benchmark of a function
	go test -run='^$$' -bench=. -benchmem work
watch-load: ## measure what watching 1000 and 10000 circuits costs, in virtual time; takes minutes
	go test ./cmd/load -run TestWatch -v -count=1 -timeout 0 -args -watch.for=70m
golden:    ## rewrite golden files; read the diff before you commit it
	go test $(GOLDEN) -update
sim:       ## run random schedules for FOR=3m; SEED=n runs one again
	go test ./cmd/simulation -run TestSimulation -timeout 0 -args -sim.for=$(FOR) -sim.seed=$(SEED)
crashes:   ## crash each service at every single one of its effects, or at each EVERY=n-th
	go test ./cmd/simulation -run TestCrashPoints -timeout 0 -args -sim.every=$(EVERY)
mutants:   ## plant the bugs that the simulation must find, one at a time
	go run ./cmd/mutants
chaos:     ## run everything as processes, under faults; needs redis-server, ARGS='-seed 5 -intents 2000 -faults 60 -over 5m'
	go run ./cmd/chaos $(ARGS)
# A target is late, not failed, when go test takes the end of its time for an error (golang/go#75804).
fuzz:      ## feed random bytes to each reader of foreign bytes, for FOR=3m each
	@out=$$(mktemp); trap 'rm -f "$$out"' EXIT; trap 'exit 130' INT TERM; failed=0; table=; \
	targets=$$(go test -list '^Fuzz' $(FUZZED)) || { echo "$$targets"; exit 1; }; \
	for t in $$(echo "$$targets" | awk '/^Fuzz/ {t[n++] = $$1} /^ok/ {while (n) print $$2 ":" t[--n]}'); do \
		echo "$$t"; result=ok; \
		go test -run='^$$' -fuzz="^$${t#*:}$$" -fuzztime=$(FOR) -fuzzminimizetime=50x "$${t%:*}" >"$$out" 2>&1 || \
			if grep -A1 '^--- FAIL' "$$out" | grep -qx '    context deadline exceeded'; then result=late; \
			else result=FAILED; failed=1; cat "$$out"; fi; \
		execs=$$(sed -n 's/.*execs: \([0-9]*\) .*/\1/p' "$$out" | tail -n 1); \
		table=$$(printf '%s\n%-6s %10s  %s' "$$table" $$result "$${execs:-0}" "$$t"); \
	done; echo "$$table"; exit $$failed
lint:      tools ## golangci-lint in each module, buf lint
	@for m in $(MODULES); do echo "lint $$m"; (cd $$m && $(BIN)/golangci-lint run ./...) || exit; done
	cd examples/go && GOWORK=off go vet ./...
	cd tools/bench && GOWORK=off $(BIN)/golangci-lint run ./...
	cd proto && $(BIN)/buf lint
tidy:      ## build each module without the workspace and check its go.mod
	@for m in $(MODULES) examples/go tools/conformance tools/bench; do echo "tidy $$m"; (cd $$m && GOWORK=off go build ./... && GOWORK=off go mod tidy -diff) || exit; done
generate:  tools ## write the generated code in proto/ anew
	cd proto && $(WITHBIN) buf generate
fresh:     generate ## fail if the generated code was not what generate writes
	@test -z "$$(git status --porcelain -- $(GENERATED))" || { git status --short -- $(GENERATED); git diff -- $(GENERATED); exit 1; }
breaking:  tools ## fail if the schema breaks readers of proto/baseline.binpb
	cd proto && $(BIN)/buf breaking --against baseline.binpb
baseline:  tools ## make the schema of today the one that breaking compares with
	cd proto && $(BIN)/buf build -o baseline.binpb
asyncapi:  ## validate proto/asyncapi.yaml; needs node
	cd tools/asyncapi && npm ci --silent --ignore-scripts --no-audit --no-fund && node validate.mjs ../../proto/asyncapi.yaml
up:        ## run the whole system in one process
	go run ./cmd/patchbay up
compose:   deploy/secrets/deployment.key ## run the whole system in containers
	PATCHBAY_USER="$$(id -u):$$(id -g)" docker compose up --build
tools:     ## build the tools; the go command skips what is there
	@for d in tools/buf tools/lint; do (cd $$d && GOWORK=off GOBIN=$(BIN) go install tool) || exit; done
	@cd proto && GOBIN=$(BIN) go install google.golang.org/protobuf/cmd/protoc-gen-go

deploy/secrets/deployment.key:
	umask 077 && mkdir -p deploy/secrets && head -c 32 /dev/urandom > $@
