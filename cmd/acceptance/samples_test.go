package acceptance_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// sample is a command as a page shows it, and what it is said to print.
type sample struct {
	command string
	lines   []string
}

// samples are the commands in the blocks of a page.
func samples(t *testing.T, path string) (all []sample) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range strings.Split(string(b), "```") {
		if i%2 == 0 || !strings.HasPrefix(block, "\n$ patchbay ") {
			continue
		}
		for line := range strings.Lines(strings.TrimSpace(block)) {
			line = strings.TrimSpace(line)
			if command, ok := strings.CutPrefix(line, "$ patchbay "); ok {
				all = append(all, sample{command: command})
			} else if line != "" {
				all[len(all)-1].lines = append(all[len(all)-1].lines, line)
			}
		}
	}
	return all
}

// volatile is what differs from run to run, and what stands for it.
var volatile = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`[0-9a-f]{32}|\b[0-9a-f]{8}(-[0-9a-f-]{27}|…|\b)`), "ID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d`), "DAY"},
	{regexp.MustCompile(`\d\d:\d\d:\d\d(\.\d+)?`), "TIME"},
	{regexp.MustCompile(`\+?\b\d+(\.\d+)?(ms|s|m)\b`), "SPAN"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`status-watcher \(\w+\)| \[?(inferred|skipped)\]?`), ""}, // it depends on who was first
	{regexp.MustCompile(`\s+`), " "},
}

func steady(line string) string {
	line = strings.TrimSpace(line)
	for _, v := range volatile {
		line = v.is.ReplaceAllString(line, v.as)
	}
	return line
}

// compare holds what a command printed against its sample. A line of "…" stands for lines
// that are left out, and "…" in a line for what is left out there. What services do at the
// same time may be told in any order.
func (s sample) compare(t *testing.T, page, printed string) {
	t.Helper()
	var is []string
	for line := range strings.Lines(printed) {
		if line = steady(line); line != "" {
			is = append(is, line)
		}
	}
	shown, whole := make([]bool, len(is)), true
	for _, line := range s.lines {
		if line == "…" {
			whole = false
			continue
		}
		like := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(steady(line)), "…", ".*") + "$")
		found := false
		for i := range is {
			if like.MatchString(is[i]) {
				shown[i], found = true, true
			}
		}
		if !found {
			t.Errorf("%s shows of %q\n%s\nwhich it does not print:\n%s", page, s.command, line, printed)
		}
	}
	for i := range is {
		if whole && !shown[i] {
			t.Errorf("%s does not show of %q\n%s", page, s.command, is[i])
		}
	}
}

// What the pages show of commands is what they print.
func TestSamples(t *testing.T) {
	heavy(t)
	t.Parallel()
	p := up(t, setup{})
	ask(t, http.MethodPut, p.Sandbox+"/sandbox/delays", object{"provision": "1s"})
	run := func(args ...string) string {
		out, _ := p.runIn("../..", args...)
		return out
	}
	ids := map[string]string{} // as the page shows them, and as they are
	before := map[string]func(){
		"intent submit examples/ecx/01-dot1q-to-dot1q.intent.json": func() {
			run("intent", "submit", "examples/ecx/01-dot1q-to-dot1q.intent.json", "--wait")
		},
		"explain John_Demo_Connection": func() {
			var created []struct{ OrderID string }
			if err := json.Unmarshal([]byte(run("intent", "submit", "examples/ecx/05-john-demo-connection.intent.json", "--wait", "--json")), &created); err != nil {
				t.Fatal(err)
			}
			r := read(t, p.NATS)
			r.publish("delete", "gone", fmt.Appendf(nil, `{"target":{"orderId":%q}}`, created[0].OrderID))
			for _, l := range r.expect(created[0].OrderID, "completed").GetLegs() {
				ids[map[string]string{"primary": "f261ae9b", "secondary": "38eea945"}[l.GetLeg()]] = l.GetConnectionId()
				r.asked(l.GetConnectionId(), "delete")
			}
		},
	}
	for _, page := range []string{"README.md", "docs/cli.md"} {
		all := samples(t, "../../"+page)
		if len(all) == 0 {
			t.Errorf("%s shows no command", page)
		}
		for _, s := range all {
			if prepare := before[s.command]; prepare != nil {
				prepare()
			}
			var args []string
			for _, a := range regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(s.command, -1) {
				a = strings.Trim(a, `"`)
				args = append(args, cmp.Or(ids[a], a))
			}
			s.compare(t, page, run(args...))
		}
	}
}
