package embedded_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"patchbay.io/pkg/embedded"
)

// A client may write as many commands as it likes before it reads the first answer.
func TestManyCommandsAtOnce(t *testing.T) {
	server, err := embedded.StartRedis("")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	rdb := redis.NewClient(&redis.Options{
		Dialer: func(context.Context, string, string) (net.Conn, error) { return server.Dial() }, MaxRetries: -1,
		ReadTimeout: time.Minute, WriteTimeout: time.Minute,
	})
	defer func() { _ = rdb.Close() }() // nothing is kept
	const n = 2000
	value := strings.Repeat("x", 100)
	p := rdb.Pipeline()
	for i := range n {
		p.Set(t.Context(), fmt.Sprint(i), value, 0)
	}
	if _, err := p.Exec(t.Context()); err != nil {
		t.Fatalf("%d commands at once: %v", n, err)
	}
	for i := range n {
		p.Get(t.Context(), fmt.Sprint(i))
	}
	answers, err := p.Exec(t.Context())
	if err != nil || len(answers) != n {
		t.Fatalf("%d answers, %v; want %d", len(answers), err, n)
	}
}
