package journal_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/journal"
)

// A follower's consumer is in the server's memory and goes with it. That nothing comes would
// tell after five seconds and more; the line that comes back tells at once.
func TestFollowOverRestart(t *testing.T) {
	cfg := embedded.NATSConfig{Dir: t.TempDir(), Addr: "127.0.0.1:0"}
	s, err := embedded.StartNATS(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Addr = s.URL()[len("nats://"):]
	j, err := journal.Open(t.Context(), journal.Config{URL: s.URL(), MaxBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	first := mustAppend(t, j, journal.Record{}, fact("o-1", "accepted"))
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	seen, enough := make(chan journal.Record, 1), errors.New("enough")
	done := make(chan error, 1)
	go func() {
		done <- j.Follow(ctx, journal.From{}, nil, func(r journal.Record) error {
			seen <- r
			if r.Number() == 2 {
				return enough
			}
			return nil
		})
	}()
	<-seen
	s.Stop()
	if s, err = embedded.StartNATS(cfg); err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	mustAppend(t, j, first, fact("o-1", "placing"))
	start := time.Now()
	if err := <-done; !errors.Is(err, enough) {
		t.Fatalf("followed with %v, want the second fact", err)
	}
	if took := time.Since(start); took > 7*time.Second {
		t.Errorf("the second fact came after %v, want it as soon as the line is back", took)
	}
}
