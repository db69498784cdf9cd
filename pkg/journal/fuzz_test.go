package journal_test

import (
	"errors"
	"strings"
	"testing"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
)

// FuzzDue reads subjects that anybody on the server may have published on: one that can be
// read is the one that is written for what was read.
func FuzzDue(f *testing.F) {
	due := journal.DueSubject(event.Entity{Noun: event.Order, ID: "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"}, "wake")
	for _, s := range []string{due, "", "....", due + ".x", strings.Replace(due, "wake", "*", 1), strings.ToUpper(due)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		e, purpose, err := journal.ReadDue(subject)
		switch {
		case err != nil && !errors.Is(err, event.ErrMalformed):
			t.Errorf("%q: %v, want ErrMalformed", subject, err)
		case err == nil && journal.DueSubject(e, purpose) != subject:
			t.Errorf("%q reads as %v and %q, which are written as %q", subject, e, purpose, journal.DueSubject(e, purpose))
		}
	})
}
