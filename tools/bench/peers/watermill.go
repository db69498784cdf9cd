package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"patchbay.io/tools/bench/rig"
)

// Topics are streams of one subject each.
const (
	intents   = "intents"
	requested = "requested"
	accepted  = "accepted"
	outcomes  = "outcomes"
)

func topics() []string { return []string{intents, requested, accepted, outcomes} }

const (
	// handlers of each topic at work at one time.
	handlers = 64
	// again is when a step that failed is done again.
	again = 200 * time.Millisecond
	// claimed is for how long a key stays claimed.
	claimed = 24 * time.Hour
	// patience bounds what waits for a server.
	patience = time.Minute
)

// Watermill carries out intents by handlers of Watermill: each step consumes a topic on
// JetStream and publishes into the next. Redis has the keys of intents that were taken. A part
// of it consumes the topics that it has.
type Watermill struct {
	calls  calls
	out    *nats.Conn // publishes
	in     *nats.Conn // subscribes
	redis  *rig.Redis
	keys   *redis.Client
	pub    *wmnats.Publisher
	router *message.Router
	told   chan rig.Told
	cancel context.CancelFunc
	work   errgroup.Group
}

// StartWatermill starts the handlers on NATS, or those of the part that is to be at the place.
func StartWatermill(ctx context.Context, n *rig.NATS, at *rig.Place) (_ *Watermill, err error) {
	w := &Watermill{told: make(chan rig.Told, 1024)}
	ctx, w.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Stop())
		}
	}()
	if w.calls, err = newCalls(at.Exchange); err != nil {
		return nil, err
	}
	if w.redis, err = rig.RedisAt(at); err != nil {
		return nil, err
	}
	w.keys = redis.NewClient(&redis.Options{Dialer: w.redis.Dial})
	if w.out, err = n.Connect(); err != nil {
		return nil, err
	}
	if w.in, err = n.Connect(); err != nil {
		return nil, err
	}
	if at.Part != rig.Workers {
		if err := makeTopics(ctx, w.out, n.Replicas()); err != nil {
			return nil, err
		}
	}
	return w, w.start(ctx, at.Part)
}

// makeTopics makes the streams as the product makes its own: on disk, with as many replicas.
func makeTopics(ctx context.Context, nc *nats.Conn, replicas int) error {
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience))
	if err != nil {
		return err
	}
	for _, t := range topics() {
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{
			Name: t, Subjects: []string{t}, Storage: jetstream.FileStorage, Replicas: replicas, Duplicates: 2 * time.Minute,
		}); err != nil {
			return fmt.Errorf("stream %s: %w", t, err)
		}
	}
	return nil
}

func (w *Watermill) start(ctx context.Context, part rig.Part) (err error) {
	log := watermill.NopLogger{} // a step that fails is done again; what is given up is told
	js := wmnats.JetStreamConfig{
		TrackMsgId: true, ConnectOptions: []nats.JSOpt{nats.MaxWait(patience)},
		DurableCalculator: func(_, topic string) string { return "circuits-" + topic },
		// Without ManualAck the client would acknowledge what Watermill has given up waiting for.
		SubscribeOptions: []nats.SubOpt{nats.DeliverAll(), nats.AckExplicit(), nats.ManualAck(), nats.AckWait(Dead)},
	}
	if w.pub, err = wmnats.NewPublisherWithNatsConn(w.out, wmnats.PublisherPublishConfig{
		Marshaler: &wmnats.NATSMarshaler{}, SubjectCalculator: wmnats.DefaultSubjectCalculator, JetStream: js,
	}, log); err != nil {
		return err
	}
	sub, err := wmnats.NewSubscriberWithNatsConn(w.in, wmnats.SubscriberSubscriptionConfig{
		QueueGroupPrefix: "circuits", SubscribersCount: handlers, CloseTimeout: patience,
		AckWaitTimeout: Dead, NakDelay: wmnats.NewStaticDelay(again), JetStream: js,
	}, log)
	if err != nil {
		return err
	}
	if w.router, err = message.NewRouter(message.RouterConfig{CloseTimeout: patience}, log); err != nil {
		return err
	}
	if part != rig.Front {
		w.router.AddConsumerHandler("create", intents, sub, w.claim(w.step(requested, w.calls.create)))
		w.router.AddConsumerHandler("accept", requested, sub, w.step(accepted, w.calls.accept))
		w.router.AddConsumerHandler("read", accepted, sub, w.step(outcomes, w.calls.provisioned))
	}
	if part != rig.Workers {
		w.router.AddConsumerHandler("tell", outcomes, sub, w.tell)
	}
	w.work.Go(func() error { return w.router.Run(ctx) })
	select {
	case <-w.router.Running():
		return nil
	case <-time.After(patience):
		return fmt.Errorf("the router of Watermill does not run after %v", patience)
	}
}

// step is the handler of a topic: it does one thing and publishes what came of it. The ids
// of messages are derived from keys, so that JetStream knows a repetition.
func (w *Watermill) step(next string, do func(context.Context, order) (order, error)) message.NoPublishHandlerFunc {
	return func(m *message.Message) error {
		var o order
		if err := json.Unmarshal(m.Payload, &o); err != nil {
			return err
		}
		o, err := do(m.Context(), o)
		switch {
		case errors.Is(err, errRefused):
			o.Failed = err.Error()
			return w.publish(outcomes, o)
		case err != nil:
			return err
		}
		return w.publish(next, o)
	}
}

// claim lets a message pass that is the one to have claimed the intent's key: a repetition
// of the message passes, another intent with the same key does not.
func (w *Watermill) claim(next message.NoPublishHandlerFunc) message.NoPublishHandlerFunc {
	return func(m *message.Message) error {
		key := "intent:" + m.Metadata.Get("key")
		fresh, err := w.keys.SetNX(m.Context(), key, m.UUID, claimed).Result()
		if err != nil {
			return fmt.Errorf("claim %s: %w", key, err)
		}
		if !fresh {
			switch first, err := w.keys.Get(m.Context(), key).Result(); {
			case err != nil:
				return fmt.Errorf("claim %s: %w", key, err)
			case first != m.UUID:
				return nil
			}
		}
		return next(m)
	}
}

// tell hands on an outcome.
func (w *Watermill) tell(m *message.Message) error {
	var o order
	if err := json.Unmarshal(m.Payload, &o); err != nil {
		return err
	}
	select {
	case w.told <- o.told():
	case <-m.Context().Done():
	}
	return m.Context().Err()
}

func (w *Watermill) publish(topic string, o order) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	m := message.NewMessage(o.Wish.Name+"."+topic, b)
	m.Metadata.Set("key", o.Wish.Name)
	return w.pub.Publish(topic, m)
}

// Submit publishes an intent.
func (w *Watermill) Submit(_ context.Context, wish rig.Wish) error {
	return w.publish(intents, order{Wish: wish})
}

// Follow tells what becomes of intents, until ctx ends.
func (w *Watermill) Follow(ctx context.Context, tell func(rig.Told)) error {
	return follow(ctx, w.told, tell)
}

// follow hands on what is told, until ctx ends.
func follow(ctx context.Context, told <-chan rig.Told, tell func(rig.Told)) error {
	for {
		select {
		case t := <-told:
			tell(t)
		case <-ctx.Done():
			return nil
		}
	}
}

// Writes is how many messages the streams have taken.
func (w *Watermill) Writes(ctx context.Context) (float64, error) {
	js, err := jetstream.New(w.out, jetstream.WithDefaultTimeout(patience))
	if err != nil {
		return 0, err
	}
	var n float64
	for _, t := range topics() {
		s, err := js.Stream(ctx, t)
		if err != nil {
			return 0, fmt.Errorf("stream %s: %w", t, err)
		}
		n += float64(s.CachedInfo().State.LastSeq)
	}
	return n, nil
}

// Stop ends the handlers and waits for them.
func (w *Watermill) Stop() error {
	w.cancel()
	var errs []error
	if w.router != nil {
		errs = append(errs, w.router.Close(), w.work.Wait())
	}
	for _, nc := range []*nats.Conn{w.in, w.out} {
		if nc != nil {
			nc.Close() // waits for nobody: the handlers have ended
		}
	}
	if w.keys != nil {
		errs = append(errs, w.keys.Close())
	}
	if w.redis != nil {
		w.redis.Stop()
	}
	w.calls.close()
	return errors.Join(errs...)
}
