package archive

import (
	"bytes"

	ce "github.com/cloudevents/sdk-go/v2/event"

	"patchbay.io/pkg/event"
)

// Read reads what an archive's file has, for fuzzing.
func Read(file []byte, yield func(subject string, e event.Entity, stored ce.Event)) error {
	return read(bytes.NewReader(file), func(e event.Entity, r record, _ []byte) error {
		yield(r.subject, e, r.event)
		return nil
	})
}
