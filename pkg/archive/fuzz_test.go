package archive_test

import (
	"bytes"
	"compress/gzip"
	"testing"

	ce "github.com/cloudevents/sdk-go/v2/event"

	"patchbay.io/pkg/archive"
	"patchbay.io/pkg/event"
)

// FuzzRead reads files that somebody has edited. Whatever is taken for a fact is about an
// entity that its subject names, has a place in its history, and none of the archive's marks.
func FuzzRead(f *testing.F) {
	const line = `{"specversion":"1.0","id":"1","source":"patchbay","type":"io.patchbay.order.accepted","sequence":"0000000001",` +
		`"pbsubject":"patchbay.order.accepted.4bf92f35-77b3-4da6-a3ce-929d0e0e4736","pbsequence":"7","pbtime":"2022-07-06T11:17:03Z",` +
		`"datacontenttype":"application/json","data":{}}` + "\n"
	for _, s := range []string{line, line + line, "{}\n", "null\n", line[:50], "[]\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var file bytes.Buffer
		z := gzip.NewWriter(&file)
		if _, err := z.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		_ = archive.Read(text, func(string, event.Entity, ce.Event) {}) // no archive, most of the time
		_ = archive.Read(file.Bytes(), func(subject string, e event.Entity, stored ce.Event) {
			if named, err := event.EntityOf(subject); err != nil || named != e || event.Sequence(stored) == 0 {
				t.Errorf("%q: a fact %d about %v", text, event.Sequence(stored), e)
			}
			for name := range stored.Extensions() {
				if name == "pbsubject" || name == "pbsequence" || name == "pbtime" {
					t.Errorf("%q: the fact keeps %s", text, name)
				}
			}
		})
	})
}
