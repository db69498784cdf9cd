package journal_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/testenv"
)

// Of the keys that first come, all at one time, one is the deployment's for ever.
func TestOneKey(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(testing.TB) testenv.NATS
	}{{"one server", testenv.StartNATS}, {"three", testenv.StartCluster}} {
		t.Run(tt.name, func(t *testing.T) {
			n := tt.start(t)
			n.Open(t, journal.Config{}) // a deployment of before there were fingerprints
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			open := func(key string) error {
				j, err := journal.Open(ctx, journal.Config{URL: n.URL, Replicas: n.Replicas, MaxBytes: 256 << 20, Key: key})
				if err == nil {
					j.Close()
				}
				return err
			}
			keys := []string{"aaaa", "bbbb", "aaaa", "bbbb", "aaaa", "bbbb"}
			got := make([]error, len(keys))
			var all sync.WaitGroup
			for i, key := range keys {
				all.Go(func() { got[i] = open(key) })
			}
			all.Wait()
			won, lost := "aaaa", "bbbb"
			if got[0] != nil {
				won, lost = lost, won
			}
			for i, key := range append(keys, won, lost) {
				err := open(key)
				if i < len(got) && (err == nil) != (got[i] == nil) {
					t.Errorf("key %s was answered %v at first and %v then", key, got[i], err)
				}
				if key == won && err != nil {
					t.Errorf("key %s, which came first: %v", key, err)
				}
				if key == lost && (!errors.Is(err, journal.ErrOtherKey) || !strings.Contains(err.Error(), won)) {
					t.Errorf("key %s, when %s came first: %v; want %v and both", key, won, err, journal.ErrOtherKey)
				}
			}
		})
	}
}
