package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay.io/pkg/event"
)

// deployment is the stream of what a deployment is told by, and keySubject where in it the
// fingerprint of its key is. It is no fact: nothing happened, and nobody has to hear of it.
const (
	deployment = "DEPLOYMENT"
	keySubject = event.Root + ".deployment.key"
)

// ErrOtherKey reports that the facts of the journal name secrets by another key than ours.
var ErrOtherKey = errors.New("not the key of this deployment")

func keyStream() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: deployment, Subjects: []string{event.Root + ".deployment.>"},
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
		MaxBytes: 64 << 10, MaxMsgsPerSubject: -1, Duplicates: 2 * time.Minute,
	}
}

// compareKey makes our key the deployment's if it has none, and returns [ErrOtherKey] if it
// has another. Of several that come first at one time one wins. After any other error try
// again.
func (j *Journal) compareKey(ctx context.Context) error {
	kept, err := j.lastMessage(ctx, deployment, keySubject)
	if err == nil && kept == nil {
		err = j.claim(ctx)
	}
	if err != nil {
		return fmt.Errorf("fingerprint of the deployment key: %w", err)
	}
	if kept != nil && string(kept.Data) != j.cfg.Key {
		return fmt.Errorf("%w: its fingerprint is %s, and the deployment's is %s", ErrOtherKey, j.cfg.Key, kept.Data)
	}
	return nil
}

// claim writes the fingerprint of our key down where none is.
func (j *Journal) claim(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, appendTry)
	defer cancel()
	_, err := j.publish(ctx, deployment, &nats.Msg{Subject: keySubject, Data: []byte(j.cfg.Key)},
		jetstream.WithExpectLastSequencePerSubject(0))
	return err
}
