package journal_test

import (
	"testing"

	"github.com/nats-io/nats.go"
)

// publishRaw publishes as an upstream that knows nothing of us.
func publishRaw(t *testing.T, url, subject, body string) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Request(subject, []byte(body), 5e9); err != nil {
		t.Fatal(err)
	}
}
