package journal_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/testenv"
)

func streamsAt(t *testing.T, url string) map[string]int {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	replicas := map[string]int{}
	for s := range js.ListStreams(t.Context()).Info() {
		replicas[s.Config.Name] = s.Config.Replicas
	}
	return replicas
}

func TestReplicasByDefault(t *testing.T) {
	cluster := testenv.StartCluster(t)
	single, err := embedded.StartNATS(embedded.NATSConfig{Dir: t.TempDir(), Addr: "127.0.0.1:0", Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	defer single.Stop()
	first, _, _ := strings.Cut(cluster.URL, ",")
	for _, tt := range []struct {
		name, reason, url string
		want              int
	}{
		{"one server", "there is nowhere to replicate to", single.URL(), 1},
		{"a cluster of three", "one server's disk is not enough", cluster.URL, 3},
		{"a cluster by one of its servers", "it tells of the others", first, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			j, err := journal.Open(ctx, journal.Config{URL: tt.url, MaxBytes: 64 << 20})
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			for name, got := range streamsAt(t, tt.url) {
				if got != tt.want {
					t.Errorf("%s has %d replicas, want %d: %s", name, got, tt.want, tt.reason)
				}
			}
		})
	}
}

func TestReplicasAreNotTakenBack(t *testing.T) {
	n := testenv.StartCluster(t)
	open := func(cfg journal.Config) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cfg.URL, cfg.MaxBytes = n.URL, 64<<20
		j, err := journal.Open(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		j.Close()
	}
	open(journal.Config{Replicas: 1})
	open(journal.Config{})
	if got := streamsAt(t, n.URL)[journal.Facts]; got != 3 {
		t.Errorf("replicas = %d, want 3: a stream begun on one server gets its copies later", got)
	}
}

// An update of a stream, be it to what it is already, disturbs whoever uses the stream.
func TestStreamsAreLeftAlone(t *testing.T) {
	n := testenv.StartNATS(t)
	nc, err := nats.Connect(n.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	updates, err := nc.SubscribeSync("$JS.EVENT.ADVISORY.STREAM.UPDATED.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 { // as services do that start at one time
		all.Go(func() { n.Open(t, journal.Config{}) })
	}
	all.Wait()
	n.Open(t, journal.Config{})
	if err := nc.Flush(); err != nil { // what was told before has arrived
		t.Fatal(err)
	}
	if told, _, err := updates.Pending(); told > 0 || err != nil {
		t.Errorf("%d updates, %v; want none", told, err)
	}
}

func TestClientMakesNothing(t *testing.T) {
	n := testenv.StartNATS(t)
	_, err := journal.Open(t.Context(), journal.Config{URL: n.URL, Client: true})
	if !errors.Is(err, journal.ErrNoJournal) || !strings.Contains(err.Error(), "no journal at nats://") {
		t.Errorf("open where there is no journal = %v, want ErrNoJournal with the address", err)
	}
	if made := streamsAt(t, n.URL); len(made) > 0 {
		t.Errorf("a client made %v", made)
	}
	writer := n.Open(t, journal.Config{})
	r := mustAppend(t, writer, journal.Record{}, fact("o-1", "accepted"))
	j, err := journal.Open(t.Context(), journal.Config{URL: n.URL, Client: true})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if last, err := j.Last(t.Context(), order("o-1")); err != nil || last.Seq != r.Seq {
		t.Errorf("a client reads %d, %v; want %d", last.Seq, err, r.Seq)
	}
}

// Whoever names no size gets the usual one where there is no stream, and changes none that is there.
func TestClientMakesWhatIsMissing(t *testing.T) {
	n := testenv.StartNATS(t)
	size := func(maxBytes int64) int64 {
		t.Helper()
		j, err := journal.Open(t.Context(), journal.Config{URL: n.URL, Client: true, Make: true, MaxBytes: maxBytes})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		uses, err := j.Uses(t.Context())
		if err != nil || len(uses) != 4 {
			t.Fatalf("%d streams (%v), want all four", len(uses), err)
		}
		return uses[slices.IndexFunc(uses, func(u journal.Use) bool { return u.Stream == journal.Facts })].MaxBytes
	}
	for _, tt := range []struct{ asked, want int64 }{{0, 1 << 30}, {64 << 20, 64 << 20}, {0, 64 << 20}} {
		if got := size(tt.asked); got != tt.want {
			t.Errorf("a journal opened with %d bytes may hold %d, want %d", tt.asked, got, tt.want)
		}
	}
}

// A limit changes for everybody, so who changes it says so.
func TestChangeOfLimitIsTold(t *testing.T) {
	n := testenv.StartNATS(t)
	told := func(maxBytes int64) string {
		t.Helper()
		var log strings.Builder
		j, err := journal.Open(t.Context(), journal.Config{URL: n.URL, Replicas: n.Replicas, MaxBytes: maxBytes, Log: zerolog.New(&log).Level(zerolog.WarnLevel)})
		if err != nil {
			t.Fatal(err)
		}
		j.Close()
		return log.String()
	}
	for _, tt := range []struct {
		maxBytes int64
		want     string
	}{{64 << 20, ""}, {64 << 20, ""}, {32 << 20, `"stream":"JOURNAL","was":67108864,"now":33554432`}, {0, ""}} {
		if got := told(tt.maxBytes); !strings.Contains(got, tt.want) || (tt.want == "") != (got == "") {
			t.Errorf("opened with %d bytes it says %q, want %q", tt.maxBytes, got, tt.want)
		}
	}
}

func TestClientDoesNotWaitForServers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := journal.Open(ctx, journal.Config{URL: "nats://who:canary@127.0.0.1:1", Client: true})
	if !errors.Is(err, journal.ErrNoJournal) || ctx.Err() != nil {
		t.Fatalf("open without a server = %v, want ErrNoJournal at once", err)
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("the error shows the password: %v", err)
	}
}

// A moment is a place to begin at, beside sequences.
func TestFollowSince(t *testing.T) {
	j := testenv.Journal(t)
	mustAppend(t, j, journal.Record{}, fact("o-1", "accepted"))
	old, err := j.Last(t.Context(), order("o-1"))
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, j, journal.Record{}, fact("o-2", "accepted"))
	enough := errors.New("enough")
	var got []string
	err = j.Follow(t.Context(), journal.From{Since: old.Stamp.Add(time.Nanosecond)}, nil, func(r journal.Record) error {
		got = append(got, r.Entity().ID)
		return enough
	})
	if !errors.Is(err, enough) || !slices.Equal(got, []string{"o-2"}) {
		t.Errorf("followed %v, %v; want o-2 alone", got, err)
	}
}

// What comes after the call is new, even if the way to the server was not ready for it.
func TestFollowNew(t *testing.T) {
	n := testenv.StartNATS(t)
	writer := n.Open(t, journal.Config{})
	mustAppend(t, writer, journal.Record{}, fact("o-1", "accepted"))
	j := n.Open(t, journal.Config{InProcess: n.Interrupted("CONSUMER.CREATE", func() {
		mustAppend(t, writer, journal.Record{}, fact("o-2", "accepted"))
	})})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	enough := errors.New("enough")
	var got []string
	err := j.Follow(ctx, journal.From{New: true}, nil, func(r journal.Record) error {
		got = append(got, r.Entity().ID)
		return enough
	})
	if !errors.Is(err, enough) || !slices.Equal(got, []string{"o-2"}) {
		t.Errorf("followed %v, %v; want o-2, which was appended after the call", got, err)
	}
}
