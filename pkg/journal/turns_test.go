package journal_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/pkg/journal"
)

// Readings come one after the other in the order in which they ask, also after one that fails,
// and never beside each other unless one is stuck.
func TestTurns(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name   string
		turns  func() *journal.Turns
		first  time.Duration // that the first of three readings takes; the others take a second
		err    error
		starts []time.Duration // of all three, after the first has begun
	}{
		{"one after the other", journal.NewTurns, 5 * time.Second, nil, []time.Duration{0, 5 * time.Second, 6 * time.Second}},
		{"after one that fails", journal.NewTurns, 5 * time.Second, broken, []time.Duration{0, 5 * time.Second, 6 * time.Second}},
		{"beside one that is stuck", journal.NewTurns, time.Hour, nil, []time.Duration{0, time.Minute, time.Minute}},
		{"all at once without turns", func() *journal.Turns { return nil }, 5 * time.Second, nil, []time.Duration{0, 0, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				turns, begun := tt.turns(), time.Now()
				starts, ended := make([]time.Duration, len(tt.starts)), make(chan error)
				for i := range starts {
					go func() {
						ended <- turns.Take(t.Context(), func() error {
							starts[i] = time.Since(begun)
							if i > 0 {
								time.Sleep(time.Second)
								return nil
							}
							time.Sleep(tt.first)
							return tt.err
						})
					}()
					synctest.Wait() // it has asked before the next one
				}
				var err error
				for range starts {
					err = errors.Join(err, <-ended)
				}
				if !slices.Equal(starts, tt.starts) || !errors.Is(err, tt.err) {
					t.Errorf("readings began after %v and ended with %v, want %v and %v", starts, err, tt.starts, tt.err)
				}
			})
		})
	}
}

// Who waits for a turn ends with its context, and leaves the turn to the others.
func TestTurnsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := journal.NewTurns()
		ctx, cancel := context.WithCancel(t.Context())
		err := turns.Take(t.Context(), func() error {
			cancel()
			return turns.Take(ctx, func() error { return errors.New("read without a turn") })
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Take = %v, want %v", err, context.Canceled)
		}
		read := false
		begun := time.Now()
		if err := turns.Take(t.Context(), func() error { read = true; return nil }); err != nil || !read || time.Since(begun) > 0 {
			t.Errorf("the next one read: %v after %v, error %v; want that it reads at once", read, time.Since(begun), err)
		}
	})
}
