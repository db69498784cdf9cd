package statuswatcher

import (
	"testing"
	"time"
)

func TestMark(t *testing.T) {
	// The exchange's clock is an hour behind ours.
	ours := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	theirs := ours.Add(-time.Hour)
	at := func(d time.Duration) time.Time { return ours.Add(d) }
	var m mark
	for _, tt := range []struct {
		reason       string
		newest       time.Time
		began, ended time.Duration
		want         time.Time
	}{
		{"nothing was ever shown: everything has to be asked for", time.Time{}, 0, time.Second, time.Time{}},
		{"what was shown last, less what may show late", theirs, 10 * time.Second, 20 * time.Second, theirs.Add(-10*time.Second - overlap)},
		{"time goes on there too, while nothing happens", time.Time{}, 10 * time.Minute, 11 * time.Minute,
			theirs.Add(10*time.Minute - 20*time.Second - overlap)},
		{"older news is no better witness", theirs.Add(time.Minute), 12 * time.Minute, 13 * time.Minute,
			theirs.Add(12*time.Minute - 20*time.Second - overlap)},
		{"newer news is", theirs.Add(20 * time.Minute), 14 * time.Minute, 15 * time.Minute, theirs.Add(19*time.Minute - overlap)},
		{"it never falls", time.Time{}, 0, time.Minute, theirs.Add(19*time.Minute - overlap)},
	} {
		m.rise(tt.newest, at(tt.began), at(tt.ended))
		if !m.since.Equal(tt.want) {
			t.Errorf("since = %v, want %v: %s", m.since, tt.want, tt.reason)
		}
	}
}
