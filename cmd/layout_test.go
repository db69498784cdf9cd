package cmd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "patchbay.io/"

// layers is the direction of imports: a package imports from its own layer and
// from those before it.
var layers = []string{"proto", "pkg", "services", "cmd"}

// Groups of packages that rows of [mayImport] share.
const (
	schema   = " proto proto/patchbay/v1 "
	words    = schema + " pkg/secret pkg/status pkg/event pkg/intent pkg/order pkg/policy pkg/account "
	wires    = words + " pkg/telemetry pkg/exchange pkg/approval pkg/journal pkg/archive pkg/hold pkg/view "
	adapters = words + " pkg/telemetry pkg/exchange pkg/exchange/wire "
	anything = wires + " pkg/exchange/ecx pkg/exchange/fabric pkg/exchange/packetfabric pkg/service "
)

// mayImport is the architecture: each package, and which of our own it may
// import. Tests may import more; see [testsMayImport].
var mayImport = map[string]string{
	// What is said.
	"proto":                       "",
	"proto/patchbay/v1":           "",
	"proto/protoc-gen-jsonschema": "",

	// In which words.
	"pkg/secret":  "",
	"pkg/status":  "",
	"pkg/event":   schema,
	"pkg/account": "pkg/secret",
	"pkg/policy":  schema + "pkg/account",
	"pkg/intent":  schema + "pkg/account pkg/event pkg/secret pkg/status",
	"pkg/order":   schema + "pkg/event pkg/intent pkg/secret pkg/status",

	// Over which wires.
	"pkg/telemetry":             "pkg/secret",
	"pkg/exchange":              words + "pkg/telemetry",
	"pkg/exchange/wire":         words + "pkg/telemetry pkg/exchange",
	"pkg/exchange/breaker":      "pkg/exchange",
	"pkg/exchange/equinix":      adapters,
	"pkg/exchange/ecx":          adapters + "pkg/exchange/equinix",
	"pkg/exchange/fabric":       adapters + "pkg/exchange/equinix",
	"pkg/exchange/packetfabric": adapters,
	"pkg/approval":              schema + "pkg/exchange pkg/intent pkg/status",
	"pkg/exchange/exchangetest": schema + "pkg/event pkg/exchange pkg/status",
	"pkg/journal":               words + "pkg/telemetry",
	"pkg/archive":               words + "pkg/journal",
	"pkg/hold":                  schema + "pkg/event pkg/intent pkg/journal",
	"pkg/view":                  words + "pkg/telemetry pkg/exchange pkg/journal",
	"pkg/embedded":              "",
	"pkg/service":               wires + "pkg/exchange/ecx pkg/exchange/fabric pkg/exchange/packetfabric pkg/exchange/breaker",
	"pkg/testenv":               anything + "pkg/embedded",

	// Who decides. They meet only in the journal.
	"services/requester":     anything,
	"services/approver":      anything,
	"services/provisioner":   anything,
	"services/statuswatcher": anything,
	"services/sandbox":       words + "pkg/telemetry pkg/exchange pkg/service",

	// What runs.
	"cmd":             "",
	"cmd/acceptance":  "cmd/invariants",
	"cmd/chaos":       anything + "services/sandbox cmd/invariants cmd/plant",
	"cmd/client":      anything + "cmd/story",
	"cmd/conformance": "",
	"cmd/invariants":  anything + "services/sandbox",
	"cmd/load":        "",
	"cmd/patchbay":    anything + "pkg/embedded cmd/client" + services,
	"cmd/mutants":     "cmd/plant",
	"cmd/plant":       "",
	"cmd/simulation":  anything + "pkg/embedded cmd/invariants" + services,
	"cmd/story":       schema + "pkg/event pkg/intent pkg/journal pkg/order pkg/status",
}

const services = " services/requester services/approver services/provisioner services/statuswatcher services/sandbox "

// testsMayImport lists what tests may import besides what their package may.
var testsMayImport = map[string]string{
	"proto":    "proto/patchbay/v1",
	"pkg":      "pkg/testenv pkg/embedded pkg/exchange/exchangetest",
	"services": "pkg/testenv pkg/embedded pkg/exchange/exchangetest pkg/exchange/ecx pkg/service",
	"cmd":      anything + services + "pkg/testenv pkg/embedded pkg/exchange/exchangetest",
}

// owner says which of our packages may import a library; the longest prefix that
// fits is the row that counts. Nobody else knows the library exists, and one
// without a row may not be imported at all.
var owner = map[string]string{
	"cel.dev/cel-go":                       "pkg/policy",
	"github.com/alicebob/miniredis/":       "pkg/embedded",
	"github.com/cloudevents/sdk-go/":       "pkg/archive pkg/event pkg/journal cmd/client",
	"github.com/fatih/color":               "cmd/client",
	"github.com/go-redis/redis_rate/":      "pkg/view",
	"github.com/google/uuid":               "pkg/event pkg/journal services/sandbox",
	"github.com/gofrs/flock":               "cmd/patchbay",
	"github.com/gowebpki/jcs":              "pkg/event pkg/intent",
	"github.com/mattn/go-isatty":           "cmd/client",
	"github.com/nats-io/nats-server/":      "pkg/embedded pkg/testenv cmd/chaos",
	"github.com/nats-io/nats.go":           "pkg/embedded pkg/journal pkg/testenv cmd/chaos",
	"github.com/prometheus/client_golang/": "pkg/telemetry",
	"github.com/redis/go-redis/":           "pkg/embedded pkg/testenv pkg/view",
	"github.com/rs/zerolog":                "pkg/embedded pkg/exchange pkg/exchange/breaker pkg/journal pkg/secret pkg/service pkg/telemetry pkg/testenv pkg/view cmd/patchbay" + services,
	"github.com/sony/gobreaker/":           "pkg/exchange/breaker",
	"github.com/spf13/":                    "cmd/client cmd/patchbay",
	"go.opentelemetry.io/otel":             "pkg/exchange pkg/exchange/breaker pkg/exchange/wire pkg/journal pkg/service pkg/telemetry pkg/view services/requester services/statuswatcher",
	"go.opentelemetry.io/otel/exporters/":  "pkg/telemetry",
	"go.opentelemetry.io/otel/sdk":         "pkg/telemetry",
	"go.yaml.in/yaml/":                     "pkg/account services/sandbox",
	"golang.org/x/sync/":                   everybody,
	"golang.org/x/time/":                   "pkg/view",
	"google.golang.org/protobuf/":          everybody,
	"google.golang.org/protobuf/encoding/": "pkg/event",
}

// testOwner says whose tests may import a library besides those of its owner.
var testOwner = map[string]string{
	"github.com/cloudevents/sdk-go/":      everybody,
	"github.com/compose-spec/compose-go/": "cmd",
	"github.com/nats-io/nats-server/":     "cmd",
	// Its ticker has to be started outside every bubble of virtual time.
	"github.com/nats-io/nats-server/v2/server/ats": everybody,
	"github.com/nats-io/nats.go":                   "cmd cmd/acceptance cmd/patchbay cmd/simulation",
	"github.com/rs/zerolog":                        everybody,
	"github.com/santhosh-tekuri/jsonschema/":       "proto pkg/event",
	"go.opentelemetry.io/otel":                     everybody,
	"go.opentelemetry.io/proto/otlp/":              "cmd/acceptance cmd/patchbay",
	"go.uber.org/goleak":                           everybody,
	"go.yaml.in/yaml/":                             "proto pkg/secret cmd",
	"google.golang.org/protobuf/encoding/":         everybody,
	"pgregory.net/rapid":                           everybody,
}

const everybody = "*"

// listed is what the go command says about one package.
type listed struct {
	ImportPath, Dir                    string
	GoFiles, TestGoFiles, XTestGoFiles []string
	Imports, TestImports, XTestImports []string
}

func TestLayout(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		seen[name] = true
		allowed, ok := mayImport[name]
		if !ok {
			t.Errorf("%s is not in the table; say what it may import, or do without it", name)
			continue
		}
		for _, imp := range p.Imports {
			if why := refusal(name, imp, allowed, owners(owner, imp)); why != "" {
				t.Errorf("%s may not import %s: %s", name, imp, why)
			}
		}
		allowed += " " + name + " " + testsMayImport[layer(name)]
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			if why := refusal(name, imp, allowed, owners(owner, imp)+" "+owners(testOwner, imp)); why != "" {
				t.Errorf("a test of %s may not import %s: %s", name, imp, why)
			}
		}
		if layer(name) != "proto" {
			checkHandWritten(t, p)
		}
	}
	for name := range mayImport {
		if !seen[name] {
			t.Errorf("%s has a row in the table and does not exist", name)
		}
	}
}

// TestLayersOfTable keeps the table itself honest: no row may allow what the
// layers forbid.
func TestLayersOfTable(t *testing.T) {
	for name, allowed := range mayImport {
		for own := range strings.FieldsSeq(allowed) {
			if _, ok := mayImport[own]; !ok {
				t.Errorf("%s may import %s, which has no row of its own", name, own)
			}
			if slices.Index(layers, layer(own)) > slices.Index(layers, layer(name)) {
				t.Errorf("%s may import %s; imports go %s", name, own, strings.Join(layers, " → "))
			}
			if layer(name) == "services" && layer(own) == "services" {
				t.Errorf("%s may import %s; services meet only in the journal", name, own)
			}
		}
	}
}

// TestProgramLinksNoTests looks for what only tests need in the program that
// users run.
func TestProgramLinksNoTests(t *testing.T) {
	const program = "cmd/patchbay"
	out := goList(t, "-deps", module+program)
	for imp := range strings.FieldsSeq(string(out)) {
		switch imp {
		case "testing", "go.uber.org/goleak", "pgregory.net/rapid", module + "pkg/testenv":
			t.Errorf("%s links %s, which is for tests", program, imp)
		}
	}
}

// refusal says why package name may not import imp, or nothing if it may:
// because imp is not among allowed, or because others own it.
func refusal(name, imp, allowed, owners string) string {
	own, ours := strings.CutPrefix(imp, module)
	first, _, _ := strings.Cut(imp, "/")
	switch {
	case ours && !has(allowed, own):
		return "its row in mayImport does not say so"
	case ours, !strings.Contains(first, "."): // the standard library
		return ""
	case has(owners, everybody), has(owners, name):
		return ""
	case strings.TrimSpace(owners) == "":
		return "nobody owns it; add a row, or do without it"
	default:
		return "ask " + strings.TrimSpace(owners)
	}
}

// checkHandWritten reports generated files in p: they live in proto.
func checkHandWritten(t *testing.T, p listed) {
	t.Helper()
	for _, file := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Error(err)
		} else if ast.IsGenerated(f) {
			t.Errorf("%s/%s is generated code outside proto", p.ImportPath, file)
		}
	}
}

// packages asks the go command for every package of the workspace, also for
// those that do not compile: that is for others to report.
func packages(t *testing.T) []listed {
	t.Helper()
	out := goList(t, "-e", "-json=ImportPath,Dir,GoFiles,TestGoFiles,XTestGoFiles,Imports,TestImports,XTestImports", "work")
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("go list work: %v", err)
		}
		all = append(all, p)
	}
}

func goList(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...).Output()
	if failed := new(exec.ExitError); errors.As(err, &failed) {
		t.Fatalf("go list %s: %s", strings.Join(args, " "), failed.Stderr)
	} else if err != nil {
		t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// owners returns the row of table whose library is the longest prefix of imp.
func owners(table map[string]string, imp string) string {
	longest := ""
	for lib := range table {
		if strings.HasPrefix(imp, lib) && len(lib) > len(longest) {
			longest = lib
		}
	}
	return table[longest]
}

// layer returns the module a package is in.
func layer(name string) string {
	l, _, _ := strings.Cut(name, "/")
	return l
}

func has(list, word string) bool { return slices.Contains(strings.Fields(list), word) }
