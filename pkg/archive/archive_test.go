package archive_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	ce "github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/archive"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

// write appends a fact of an entity.
func write(t *testing.T, j *journal.Journal, e event.Entity, fact string, data proto.Message) {
	t.Helper()
	last, err := j.Last(t.Context(), e)
	if err == nil {
		_, err = j.Append(t.Context(), last, event.Fact{Entity: e, Name: fact, By: "test", Order: "o", Exchange: "equinix", Cause: "x", Data: data})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// live writes a life that is over, facts of its entities mixed, and an order under way.
func live(t *testing.T, j *journal.Journal) {
	t.Helper()
	order := func(id, kind, fact, outcome string) {
		o := &patchbayv1.Order{Id: id, Kind: kind, Fact: fact, Outcome: outcome, PayloadDigest: "digest-" + id, Exchange: "equinix"}
		switch id {
		case "o":
			o.Create = &patchbayv1.CreateIntent{Name: "Jane Doe's", Notifications: []*patchbayv1.Notification{{Emails: []string{"jane@example.com"}}}}
			o.Legs = []*patchbayv1.OrderLeg{{Leg: "primary", State: "completed", ConnectionId: "c"}}
		case "d":
			o.TargetOrderId = "o"
		}
		write(t, j, event.Entity{Noun: event.Order, ID: id}, fact, o)
	}
	circuit := func(status, provider string) {
		write(t, j, event.Entity{Noun: event.Connection, ID: "c"}, event.Slug(status)+"."+event.Slug(provider), &patchbayv1.Transition{
			Connection: &patchbayv1.Connection{Id: "c", Status: status, ProviderStatus: provider, OrderId: "o", Name: "Jane Doe's"}})
	}
	hold := func(fact string, owners ...*patchbayv1.Owner) {
		write(t, j, event.Entity{Noun: event.Hold, ID: "h"}, fact, &patchbayv1.Hold{Id: "h", Kind: "tag", Fact: fact, Owners: owners})
	}
	order("o", "create", "accepted", "")
	hold("taken", &patchbayv1.Owner{Id: "o", Noun: "order"})
	circuit("PROVISIONING", "NOT_AVAILABLE")
	order("open", "create", "accepted", "")
	circuit("PROVISIONED", "AVAILABLE")
	order("o", "create", "completed", "completed")
	order("d", "delete", "accepted", "")
	write(t, j, event.Entity{Noun: event.Approval, ID: "c"}, "requested", &patchbayv1.Approval{ConnectionId: "c", Fact: "requested"})
	write(t, j, event.Entity{Noun: event.Approval, ID: "c"}, "approved", &patchbayv1.Approval{ConnectionId: "c", Fact: "approved"})
	circuit("DEPROVISIONED", "NOT_AVAILABLE")
	order("d", "delete", "completed", "completed")
	hold("freed")
}

// ended are the entities of live that may be put away, and their facts.
const endedEntities, endedFacts = 5, 11

// history is everything that the journal has, but for what tells of archives.
func history(t *testing.T, j *journal.Journal) (all []string) {
	t.Helper()
	err := j.History(t.Context(), nil, func(r journal.Record) error {
		if r.Archived() {
			return nil
		}
		b, err := json.Marshal(r.Event)
		all = append(all, r.Subject+" "+string(canonical(t, b)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func canonical(t *testing.T, b []byte) []byte {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// isEnded tells the facts of live that may be put away.
func isEnded(line string) bool { return !strings.HasPrefix(line, "patchbay.order.accepted.open ") }

func run(t *testing.T, j *journal.Journal, path string) archive.Report {
	t.Helper()
	rep, err := archive.Run(t.Context(), j, path, archive.Options{Before: j.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// restored is the history after archives were taken back into an empty journal.
func restored(t *testing.T, files ...string) []string {
	t.Helper()
	j := testenv.Journal(t)
	for _, path := range files {
		restore(t, j, path)
	}
	return history(t, j)
}

func restore(t *testing.T, j *journal.Journal, path string) archive.Restored {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rep, err := archive.Restore(t.Context(), j, f)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestRoundTrip(t *testing.T) {
	n := testenv.StartNATS(t)
	j := n.Open(t, journal.Config{})
	live(t, j)
	before := history(t, j)
	path := filepath.Join(t.TempDir(), "a.jsonl.gz")

	dry, err := archive.Run(t.Context(), j, path, archive.Options{Before: j.Now().Add(time.Hour), DryRun: true})
	if err != nil || dry.Entities != endedEntities || dry.Facts != endedFacts || dry.File != "" {
		t.Errorf("a dry run tells %+v, %v; want %d entities with %d facts and no file", dry, err, endedEntities, endedFacts)
	}
	if got := history(t, j); !slices.Equal(got, before) {
		t.Error("a dry run changed the journal")
	}
	rep := run(t, j, path)
	n.Settle(t)
	if rep.Entities != endedEntities || rep.Facts != endedFacts || rep.File != path || rep.Bytes == 0 || rep.Kept[archive.Open] != 1 {
		t.Errorf("Run = %+v, want what the dry run told, the file, and one order kept as open", rep)
	}
	if got := history(t, j); len(got) != 1 || isEnded(got[0]) {
		t.Errorf("left are %q, want the order under way", got)
	}
	checkArchived(t, j)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has the mode %v (%v), want 0600: it has names in it", info.Mode(), err)
	}

	want := slices.DeleteFunc(slices.Clone(before), func(s string) bool { return !isEnded(s) })
	fresh := testenv.Journal(t)
	back := restore(t, fresh, path)
	if back.Entities != endedEntities || back.Facts != endedFacts || len(back.Skipped) != 0 {
		t.Errorf("Restore = %+v, want all of it", back)
	}
	if got := history(t, fresh); !slices.Equal(got, want) {
		t.Errorf("restored\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if again := restore(t, fresh, path); again.Facts != 0 || again.There != endedFacts {
		t.Errorf("restored again: %+v, want nothing written", again)
	}
	if same := restore(t, j, path); same.Facts != 0 || len(same.Skipped) != endedEntities {
		t.Errorf("restored over what was put away: %+v, want all skipped", same)
	}
	if again := run(t, j, path+"2"); again.Entities != 0 || again.File != "" || again.Finished != 0 {
		t.Errorf("archived again: %+v, want nothing to do", again)
	}
	if _, err := archive.Run(t.Context(), j, path, archive.Options{}); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("Run over a file = %v, want it refused", err)
	}
}

// checkArchived checks what was left of each entity.
func checkArchived(t *testing.T, j *journal.Journal) {
	t.Helper()
	for e, want := range map[event.Entity]*patchbayv1.Archived{
		{Noun: event.Order, ID: "o"}:      {Kind: "create", PayloadDigest: "digest-o", Outcome: "completed", Facts: 2},
		{Noun: event.Order, ID: "d"}:      {Kind: "delete", PayloadDigest: "digest-d", Outcome: "completed", Facts: 2},
		{Noun: event.Connection, ID: "c"}: {Outcome: "DEPROVISIONED", Facts: 3},
		{Noun: event.Approval, ID: "c"}:   {Outcome: "approved", Facts: 2},
		{Noun: event.Hold, ID: "h"}:       {Outcome: "freed", Facts: 2},
	} {
		r, err := j.Last(t.Context(), e)
		if err != nil || !r.Archived() || r.Number() != uint64(want.GetFacts())+1 {
			t.Errorf("%s: last is %q number %d (%v), want archived after its %d facts", e, r.Subject, r.Number(), err, want.GetFacts())
			continue
		}
		got := new(patchbayv1.Archived)
		if err := r.Into(got); err != nil {
			t.Fatal(err)
		}
		if len(got.GetExportDigest()) != 64 || got.GetAt() == nil {
			t.Errorf("%s: digest %q, at %v; want both", e, got.GetExportDigest(), got.GetAt())
		}
		got.ExportDigest, got.At = "", nil
		want.Id, want.Fact = e.ID, event.Archived
		if !proto.Equal(got, want) {
			t.Errorf("%s is\n%v, want\n%v", e, got, want)
		}
		if b, _ := json.Marshal(r.Event); bytes.Contains(b, []byte("Jane")) || bytes.Contains(b, []byte("jane")) {
			t.Errorf("%s: %s names a person", e, b)
		}
	}
}

// What is in the file is CloudEvents, one a line, oldest first.
func TestFormat(t *testing.T) {
	j := testenv.Journal(t)
	live(t, j)
	path := filepath.Join(t.TempDir(), "a.jsonl.gz")
	run(t, j, path)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for d := json.NewDecoder(z); ; {
		var e ce.Event
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		var seq int
		if _, err := fmt.Sscan(event.Ext(e, "journalsequence"), &seq); err != nil || seq <= last {
			t.Errorf("sequence %d after %d (%v), want them to rise", seq, last, err)
		}
		last = seq
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
		if _, err := time.Parse(time.RFC3339Nano, event.Ext(e, "journaltime")); err != nil {
			t.Error(err)
		}
	}
	if last == 0 {
		t.Error("the file is empty")
	}
}

// A hold that was put away is taken again; the numbers go on, and a later archive fits on
// the first.
func TestLifeAfterArchive(t *testing.T) {
	n := testenv.StartNATS(t)
	j := n.Open(t, journal.Config{})
	live(t, j)
	first, second := filepath.Join(t.TempDir(), "1"), filepath.Join(t.TempDir(), "2")
	run(t, j, first)
	n.Settle(t)
	write(t, j, event.Entity{Noun: event.Hold, ID: "h"}, "taken", &patchbayv1.Hold{Id: "h", Kind: "tag", Fact: "taken", Owners: []*patchbayv1.Owner{{Id: "o2"}}})
	write(t, j, event.Entity{Noun: event.Hold, ID: "h"}, "freed", &patchbayv1.Hold{Id: "h", Kind: "tag", Fact: "freed"})
	if r, err := j.Last(t.Context(), event.Entity{Noun: event.Hold, ID: "h"}); err != nil || r.Number() != 5 {
		t.Errorf("the hold's last number is %d (%v), want 5", r.Number(), err)
	}
	if rep := run(t, j, second); rep.Entities != 1 || rep.Facts != 3 {
		t.Errorf("the second archive = %+v, want the hold with the two facts and what stood for the first two", rep)
	}
	if got := restored(t, first, second); len(got) != endedFacts+2 {
		t.Errorf("both give back %d facts, want %d", len(got), endedFacts+2)
	}
}

// An entity that goes on while an archive is made stays whole.
func TestMovedMeanwhile(t *testing.T) {
	n := testenv.StartNATS(t)
	j := n.Open(t, journal.Config{})
	live(t, j)
	rep, err := archive.Run(t.Context(), j, filepath.Join(t.TempDir(), "a"), archive.Options{
		Before: j.Now().Add(time.Hour),
		Probe: func(point string) {
			if point == "export.named" {
				write(t, j, event.Entity{Noun: event.Hold, ID: "h"}, "taken", &patchbayv1.Hold{Id: "h", Kind: "tag", Fact: "taken"})
			}
		},
	})
	if err != nil || rep.Moved != 1 || rep.Entities != endedEntities-1 {
		t.Errorf("Run = %+v, %v; want one entity that moved", rep, err)
	}
	count := 0
	err = j.History(t.Context(), []string{event.Entity{Noun: event.Hold, ID: "h"}.Filter()}, func(journal.Record) error { count++; return nil })
	if err != nil || count != 3 {
		t.Errorf("the hold has %d facts (%v), want its 3", count, err)
	}
}

// Wherever an archive is interrupted nothing is lost, and the next one ends what it began.
func TestCrashes(t *testing.T) {
	for at := 1; ; at++ {
		point := ""
		if !t.Run(fmt.Sprint(at), func(t *testing.T) { point = crash(t, at) }) || point == "" {
			if at < endedEntities*4 {
				t.Errorf("%d points to crash at, want the steps of %d entities", at, endedEntities)
			}
			return
		}
		t.Logf("%d: crashed at %s", at, point)
	}
}

func crash(t *testing.T, at int) (point string) {
	n := testenv.StartNATS(t)
	j := n.Open(t, journal.Config{})
	live(t, j)
	before := slices.DeleteFunc(history(t, j), func(s string) bool { return !isEnded(s) })

	steps := 0
	probe := func(p string) {
		if steps++; steps == at {
			point = p
			runtime.Goexit()
		}
	}
	dying := n.Open(t, journal.Config{Probe: probe})
	dir := t.TempDir()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := archive.Run(context.Background(), dying, filepath.Join(dir, "1"), archive.Options{
			Before: j.Now().Add(time.Hour), Probe: probe})
		if err != nil {
			t.Error(err)
		}
	}()
	<-done
	n.Settle(t)
	run(t, j, filepath.Join(dir, "2"))
	n.Settle(t)

	for _, line := range history(t, j) {
		if isEnded(line) {
			t.Errorf("crashed at %s: left is %.80s", point, line)
		}
	}
	checkArchived(t, j)
	var files []string
	for _, name := range []string{"1", "2"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			files = append(files, filepath.Join(dir, name))
		}
	}
	if got := restored(t, files...); !slices.Equal(got, before) {
		t.Errorf("crashed at %s: the files give back %d facts, want the %d there were", point, len(got), len(before))
	}
	return point
}
