package rig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/journal"
)

const (
	// JournalBytes is room for the largest journal that is measured.
	JournalBytes = 16 << 30
	// FactsPerOrder is how many facts a create leaves in the journal.
	FactsPerOrder = 14
)

// Fill makes the data folder of a `patchbay up` whose journal has about so many facts, and
// returns how many: the story of one order that was carried out, over and over, each time
// under other ids. The product's consumers are there and have settled all of it, and the
// accounts are none that the product has, so that nobody asks the exchange for circuits that
// it has never had. The folder is there only once it is whole; one that is there is left as
// it is.
func Fill(ctx context.Context, data string, facts int) (wrote int, err error) {
	orders := max(1, facts/FactsPerOrder)
	wrote = orders * FactsPerOrder
	if _, err := os.Stat(data); !errors.Is(err, fs.ErrNotExist) {
		return wrote, err
	}
	part := data + ".part"
	if err := os.RemoveAll(part); err != nil { // what a filling left that was interrupted
		return 0, err
	}
	if err := fill(ctx, part, orders); err != nil {
		return 0, errors.Join(err, os.RemoveAll(part))
	}
	return wrote, os.Rename(part, data)
}

func fill(ctx context.Context, data string, orders int) error {
	story, consumers, err := tellStory(ctx)
	if err != nil {
		return err
	}
	n, err := embedded.StartNATS(embedded.NATSConfig{Dir: filepath.Join(data, "nats"), Relaxed: true})
	if err != nil {
		return err
	}
	defer n.Stop()
	j, err := journal.Open(ctx, journal.Config{InProcess: n, MaxBytes: JournalBytes}) // makes the streams
	if err != nil {
		return err
	}
	j.Close()
	nc, err := nats.Connect("", nats.InProcessServer(n))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		return err
	}
	for i := range orders {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, m := range story.retold(i) {
			if _, err := js.PublishMsgAsync(m, jetstream.WithStallWait(time.Minute)); err != nil {
				return fmt.Errorf("order %d: %w", i, err)
			}
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-ctx.Done():
		return ctx.Err()
	}
	s, err := js.Stream(ctx, journal.Facts)
	if err != nil {
		return err
	}
	if got := s.CachedInfo().State.Msgs; got != uint64(orders*FactsPerOrder) {
		return fmt.Errorf("the journal has %d facts, want %d", got, orders*FactsPerOrder)
	}
	return settle(ctx, s, consumers)
}

// settle makes consumers that have settled all there is.
func settle(ctx context.Context, s jetstream.Stream, consumers []jetstream.ConsumerConfig) error {
	next := s.CachedInfo().State.LastSeq + 1
	for _, c := range consumers {
		if _, err := s.CreateOrUpdateConsumer(ctx, c); err != nil {
			return err
		}
		if _, err := s.ResetConsumerToSequence(ctx, c.Durable, next); err != nil {
			return err
		}
	}
	return nil
}

// tellStory carries one order out and returns its facts, and the consumers that the product
// has at the journal.
func tellStory(ctx context.Context) (all story, consumers []jetstream.ConsumerConfig, err error) {
	r, err := Start(ctx, 1, AtOnce())
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	if err := r.Product.Submit(ctx, NewWishes(r.Exchange).Next()); err != nil {
		return nil, nil, err
	}
	nc, js, err := open(r.NATS)
	if err != nil {
		return nil, nil, err
	}
	defer nc.Close()
	s, err := js.Stream(ctx, journal.Facts)
	if err != nil {
		return nil, nil, err
	}
	for seq := uint64(1); len(all) < FactsPerOrder; {
		m, err := s.GetMsg(ctx, seq)
		switch {
		case err == nil:
			all = append(all, templateOf(m))
			seq++
			continue
		case !errors.Is(err, jetstream.ErrMsgNotFound):
			return nil, nil, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(20 * time.Millisecond): // it is yet to come
		}
	}
	list := s.ListConsumers(ctx)
	for info := range list.Info() {
		if info.Config.Durable != "" {
			consumers = append(consumers, info.Config)
		}
	}
	return all, consumers, list.Err()
}

// story is what happened to one order.
type story []template

// template is a fact of which the identifiers can be exchanged.
type template struct {
	subject, data text
	header        map[string]text
}

func templateOf(m *jetstream.RawStreamMsg) template {
	t := template{subject: textOf(m.Subject), data: textOf(string(m.Data)), header: map[string]text{}}
	for name, values := range plain(m).Header {
		t.header[name] = textOf(values[0])
	}
	return t
}

// text is text with identifiers at its odd places.
type text []string

// ids finds the identifiers of a story: those of orders, circuits, holds and events, and the
// exchange's own of the circuit. What stays the same in all stories are ports and profiles.
var ids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[57][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|"exchangeId": ?"[^"]*"`)

// tenants are the accounts of the story, which are nobody's when it is told again.
var tenants = strings.NewReplacer("acme-ecx", "former-ecx", "cloud-ecx", "retired-ecx")

func textOf(s string) (t text) {
	s = tenants.Replace(s)
	from := 0
	for _, at := range ids.FindAllStringIndex(s, -1) {
		begin, end := at[0], at[1]
		if s[begin] == '"' {
			begin, end = begin+strings.LastIndexByte(strings.TrimSuffix(s[begin:end], `"`), '"')+1, end-1
		}
		t = append(t, s[from:begin], s[begin:end])
		from = end
	}
	return append(t, s[from:])
}

// with is the text with other identifiers.
func (t text) with(other func(string) string) string {
	var b strings.Builder
	for i, part := range t {
		if i%2 == 1 {
			part = other(part)
		}
		b.WriteString(part)
	}
	return b.String()
}

// retold is the story as that of the i-th order.
func (s story) retold(i int) (all []*nats.Msg) {
	known := map[string]string{}
	other := func(id string) string {
		if known[id] == "" {
			known[id] = uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s %d", id, i)).String()
		}
		return known[id]
	}
	for _, t := range s {
		m := &nats.Msg{Subject: t.subject.with(other), Header: nats.Header{}, Data: []byte(t.data.with(other))}
		for name, value := range t.header {
			m.Header[name] = []string{value.with(other)}
		}
		all = append(all, m)
	}
	return all
}
