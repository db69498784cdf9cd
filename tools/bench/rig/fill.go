package rig

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// ids finds the identifiers of a story: those of orders, circuits and holds.
var ids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)

// Fill makes the data folder of a `patchbay up` whose journal has about so many facts, and
// returns how many: the story of one order that was carried out, over and over, each time
// under other ids.
func Fill(ctx context.Context, data string, facts int) (wrote int, err error) {
	story, err := tellStory(ctx)
	if err != nil {
		return 0, err
	}
	n, err := embedded.StartNATS(embedded.NATSConfig{Dir: filepath.Join(data, "nats"), Relaxed: true})
	if err != nil {
		return 0, err
	}
	defer n.Stop()
	j, err := journal.Open(ctx, journal.Config{InProcess: n, MaxBytes: JournalBytes})
	if err != nil {
		return 0, err
	}
	j.Close()
	nc, err := nats.Connect("", nats.InProcessServer(n))
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(1024))
	if err != nil {
		return 0, err
	}
	for i := range max(1, facts/len(story)) {
		for _, m := range retold(story, i) {
			if _, err := js.PublishMsgAsync(m, jetstream.WithStallWait(time.Minute)); err != nil {
				return wrote, fmt.Errorf("fact %d: %w", wrote, err)
			}
			wrote++
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return wrote, nil
	case <-ctx.Done():
		return wrote, ctx.Err()
	}
}

// tellStory carries one order out and returns its facts.
func tellStory(ctx context.Context) (story []*nats.Msg, err error) {
	r, err := Start(ctx, 1, AtOnce())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	if err := r.Product.Submit(ctx, NewWishes(r.Exchange).Next()); err != nil {
		return nil, err
	}
	nc, js, err := open(r.NATS)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	s, err := js.Stream(ctx, journal.Facts)
	if err != nil {
		return nil, err
	}
	for seq := uint64(1); len(story) < FactsPerOrder; {
		m, err := s.GetMsg(ctx, seq)
		switch {
		case err == nil:
			story = append(story, &nats.Msg{Subject: m.Subject, Header: plain(m).Header, Data: m.Data})
			seq++
			continue
		case !errors.Is(err, jetstream.ErrMsgNotFound):
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond): // it is yet to come
		}
	}
	return story, nil
}

// retold is the story as that of the i-th order. The exchange's id of the circuit is other, too.
func retold(story []*nats.Msg, i int) []*nats.Msg {
	other := func(id string) string {
		return uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s %d", id, i)).String()
	}
	var all []*nats.Msg
	for _, m := range story {
		n := &nats.Msg{Subject: ids.ReplaceAllStringFunc(m.Subject, other), Header: maps.Clone(m.Header)}
		n.Data = []byte(exchangeIDs.ReplaceAllStringFunc(ids.ReplaceAllStringFunc(string(m.Data), other), func(field string) string {
			name, id, _ := strings.Cut(field, ":")
			return name + ":" + `"` + other(strings.Trim(id, ` "`)) + `"`
		}))
		for _, h := range []string{"ce-correlationid", "ce-subject", "ce-partitionkey"} {
			if v := n.Header.Get(h); v != "" {
				n.Header[h] = []string{ids.ReplaceAllStringFunc(v, other)}
			}
		}
		if id := n.Header.Get("ce-id"); id != "" {
			n.Header["ce-id"] = []string{other(id)}
		}
		all = append(all, n)
	}
	return all
}

var exchangeIDs = regexp.MustCompile(`"exchangeId": ?"[^"]*"`)
