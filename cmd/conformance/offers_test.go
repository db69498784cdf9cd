package conformance_test

import (
	"os"
	"strings"
	"testing"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
)

// TestOffersAreDocumented holds docs/exchanges.md against what the adapters offer: where it
// says no, there is no such thing, and elsewhere there is.
func TestOffersAreDocumented(t *testing.T) {
	offers := map[string]func(exchange.Client) bool{
		"What has changed since":      func(c exchange.Client) bool { _, ok := c.(exchange.Feed); return ok },
		"What happened between":       func(c exchange.Client) bool { _, ok := c.(exchange.Past); return ok },
		"Tags in use":                 func(c exchange.Client) bool { _, ok := c.(exchange.TagsInUse); return ok },
		"Service tokens":              func(c exchange.Client) bool { _, ok := c.(exchange.Tokens); return ok },
		"Both legs in one call":       func(c exchange.Client) bool { return c.Together() },
		"Many in one answer, by id":   func(c exchange.Client) bool { _, ok := c.(exchange.Batch); return ok },
		"Profile shows where it ends": func(c exchange.Client) bool { _, ok := c.(exchange.LandsOn); return ok },
	}
	said := rows(t, "../../docs/exchanges.md")
	for i, api := range []account.API{account.ECX, account.Fabric, account.PacketFabric} {
		inWorldOf(t, api, func(t *testing.T, w *world) {
			for what, offered := range offers {
				cells := said[what]
				if len(cells) < 3 {
					t.Errorf("the document has no row %q", what)
					continue
				}
				if is := offered(w.buyer); is == (strings.Trim(cells[i], "*") == "no") {
					t.Errorf("%s, %s: the document says %q, and the adapter offers it: %v", what, api, cells[i], is)
				}
			}
		})
	}
}

// rows are the cells of the tables of a document by the first cell of each row.
func rows(t *testing.T, path string) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i, c := range cells {
			cells[i] = strings.TrimSpace(c)
		}
		if _, ok := all[cells[0]]; !ok {
			all[cells[0]] = cells[1:]
		}
	}
	return all
}
