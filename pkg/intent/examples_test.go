package intent_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ce "github.com/cloudevents/sdk-go/v2/event"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/intent"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

var update = flag.Bool("update", false, "rewrite the answers in examples/wrong and testdata")

const examples = "../../examples/"

func TestExamplesAreSound(t *testing.T) {
	for _, file := range glob(t, examples+"ecx/*.intent.json", 11) {
		data := read(t, file)
		if _, wrong := intent.Read(event.Intent, intent.KindOf(data), data); len(wrong) > 0 {
			t.Errorf("%s: %q, want no violation: newcomers begin with it", file, lines(wrong))
		}
	}
	for dir, count := range map[account.API]int{account.Fabric: 14, account.PacketFabric: 10} {
		for _, file := range glob(t, examples+string(dir)+"/*.intent.json", count) {
			data := read(t, file)
			m, wrong := intent.Read(event.Intent, intent.KindOf(data), data)
			if wrong = append(wrong, intent.CheckFor(dir, m)...); len(wrong) > 0 {
				t.Errorf("%s: %q, want no violation: newcomers begin with it", file, lines(wrong))
			}
		}
	}
	for _, file := range glob(t, examples+"ecx/*.event.json", 2) {
		var e ce.Event
		if err := json.Unmarshal(read(t, file), &e); err != nil || e.Validate() != nil {
			t.Errorf("%s is no CloudEvent: %v, %v", file, err, e.Validate())
			continue
		}
		noun, kind, ok := event.IntentKind(e.Type())
		if !ok {
			t.Errorf("%s has type %s, want that of an intent", file, e.Type())
		}
		if _, wrong := intent.Read(noun, kind, e.Data()); len(wrong) > 0 {
			t.Errorf("%s: %q, want no violation", file, lines(wrong))
		}
	}
}

// What the examples name by id has to be what the others are called.
func TestExamplesNameEachOther(t *testing.T) {
	for file, target := range map[string]string{
		"ecx/09-rename.intent.json":          "ecx/01-dot1q-to-dot1q.intent.json",
		"ecx/10-delete-order.intent.json":    "ecx/05-john-demo-connection.intent.json",
		"fabric/13-change.intent.json":       "fabric/10-redundant-pair.intent.json",
		"fabric/14-delete.intent.json":       "fabric/10-redundant-pair.intent.json",
		"packetfabric/09-change.intent.json": "packetfabric/01-vlan.intent.json",
		"packetfabric/10-delete.intent.json": "packetfabric/07-pair.intent.json",
	} {
		var got struct{ Target struct{ Source, ID string } }
		if err := json.Unmarshal(read(t, examples+file), &got); err != nil {
			t.Fatal(err)
		}
		want := intent.ID(read(t, examples+target))
		if got.Target.Source != "patchbay/cli" || got.Target.ID != want {
			t.Errorf("%s names %+v, want the id of %s, which is %s", file, got.Target, target, want)
		}
	}
	var got struct{ Target struct{ ConnectionID string } }
	if err := json.Unmarshal(read(t, examples+"ecx/11-delete-connection.intent.json"), &got); err != nil {
		t.Fatal(err)
	}
	// The primary of the guide's sample answer.
	if want := event.ConnectionID("equinix", "9999a8-0e07-44d0-944c-88a25d8d28f7"); got.Target.ConnectionID != want {
		t.Errorf("11 names the connection %s, want %s", got.Target.ConnectionID, want)
	}
}

// Each request of the exchange says the same as the intent beside it.
func TestExamplesKeepTheirRequests(t *testing.T) {
	for _, file := range glob(t, examples+"ecx/*.request.json", 5) {
		var r map[string]any
		if err := json.Unmarshal(read(t, file), &r); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		data := read(t, strings.Replace(file, ".request.", ".intent.", 1))
		m, _ := intent.Decode(event.Intent, intent.Create, data)
		c, ok := m.(*patchbayv1.CreateIntent)
		if !ok {
			t.Fatalf("%s: no create", file)
		}
		c = intent.Expand(c)
		p, s := c.GetPrimary(), c.GetSecondary()
		for field, got := range map[string]string{
			"primaryName":       c.GetName(),
			"secondaryName":     s.GetName(),
			"primaryPortUUID":   p.GetASide().GetPortId(),
			"secondaryPortUUID": s.GetASide().GetPortId(),
			"profileUUID":       s.GetZSide().GetProfileId(),
			"authorizationKey":  s.GetZSide().GetAuthorizationKey(),
			"sellerMetroCode":   p.GetZSide().GetMetro(),
			"sellerRegion":      s.GetZSide().GetRegion(),
		} {
			if want, _ := r[field].(string); got != want {
				t.Errorf("%s: the intent has %q for %s, want %q", file, got, field, want)
			}
		}
		if len(c.GetName()) > 24 || len(s.GetName()) > 24 {
			t.Errorf("%s: a name of more than 24 characters", file)
		}
	}
}

// Every wrong example has its answer beside it: a note, and what is wrong line by line.
func TestWrongExamples(t *testing.T) {
	for _, file := range glob(t, examples+"wrong/*.json", 12) {
		data := read(t, file)
		_, wrong := intent.Read(event.Intent, intent.KindOf(data), data)
		answer := strings.TrimSuffix(file, ".json") + ".txt"
		note, want, ok := strings.Cut(string(read(t, answer)), "\n\n")
		got := strings.Join(lines(wrong), "\n") + "\n"
		if *update {
			if err := os.WriteFile(answer, []byte(note+"\n\n"+got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if !ok || note == "" || got != want {
			t.Errorf("%s says\n%s\nwant\n%s\nin %s, below a note", file, got, want, answer)
		}
	}
}

func lines(violations []*patchbayv1.Violation) []string {
	var out []string
	for _, v := range violations {
		out = append(out, intent.Line(v))
	}
	return out
}

func glob(t *testing.T, pattern string, count int) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != count {
		t.Fatalf("%d files match %s (%v), want %d", len(files), pattern, err, count)
	}
	return files
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
