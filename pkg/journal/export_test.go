package journal

import "patchbay.io/pkg/event"

// ReadDue reads the subject of a due message, for fuzzing.
func ReadDue(subject string) (event.Entity, string, error) { return parseTimer(subject) }

// DueSubject is what the server publishes on when a timer is due.
func DueSubject(e event.Entity, purpose string) string { return dueRoot + timerName(e, purpose) }
