package journal_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/testenv"
)

// misled is a way to a server on which the first request with a word in it has another in its
// place, as long: it goes to somebody who never answers, or asks for something else.
type misled struct {
	net.Conn
	server      string
	word, other []byte
	done        atomic.Bool
}

func (m *misled) InProcessConn() (net.Conn, error) {
	u, err := url.Parse(m.server)
	if err != nil {
		return nil, err
	}
	m.Conn, err = net.Dial("tcp", u.Host)
	return m, err
}

func (m *misled) Write(b []byte) (int, error) {
	if bytes.Contains(b, m.word) && !m.done.Swap(true) {
		b = bytes.Replace(b, m.word, m.other, 1)
	}
	return m.Conn.Write(b)
}

// A client whose look at a stream is not answered looks again, however long it may wait.
func TestClientAsksAgain(t *testing.T) {
	t.Parallel()
	if testenv.Clustered() {
		t.Skip("about one server")
	}
	n := testenv.StartNATS(t)
	n.Open(t, journal.Config{}) // which makes the streams
	nc, err := nats.Connect(n.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Subscribe("nobody.>", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	way := &misled{server: n.URL, word: []byte("$JS.API.STREAM.INFO.JOURNAL"), other: []byte("nobody.STREAM.INFO.JOURNALS")}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	start := time.Now()
	j, err := journal.Open(ctx, journal.Config{InProcess: way, Client: true})
	if err != nil {
		t.Fatalf("after %v: %v", time.Since(start), err)
	}
	j.Close()
	if !way.done.Load() {
		t.Error("the client never asked for the stream")
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it asked again after %v, want seconds", took)
	}
}

// A handler that reads what woke it, or what was there before, finds that or something newer,
// though the leader does not know it yet.
func TestReadOfNudge(t *testing.T) {
	t.Parallel()
	n := testenv.StartCluster(t)
	server, _, _ := strings.Cut(n.URL, ",")
	writer := n.Open(t, journal.Config{})
	nc, err := nats.Connect(server)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	// Somebody who knows nothing answers the first read.
	if _, err := nc.Subscribe("nobody.>", func(m *nats.Msg) {
		if err := m.Respond([]byte(`{"error":{"code":404,"err_code":10037,"description":"no message found"}}`)); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	before := mustAppend(t, writer, journal.Record{}, fact("o-1", "accepted"))
	nudge := mustAppend(t, writer, journal.Record{}, fact("o-2", "accepted"))
	for _, want := range []journal.Record{nudge, before} {
		way := &misled{server: server, word: []byte("$JS.API.STREAM.MSG.GET.JOURNAL"), other: []byte("nobody.STREAM.MSG.GET.JOURNALS")}
		reader := n.Open(t, journal.Config{InProcess: way})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got := make(chan uint64, 1)
		err = reader.Consume(ctx, journal.Consumer{
			Durable: "reads-" + want.Entity().ID, Stream: journal.Facts, Filters: []string{nudge.Entity().Filter()},
		}, func(ctx context.Context, r journal.Record) error {
			defer cancel()
			last, err := reader.Last(ctx, want.Entity())
			got <- last.Seq
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if seq := <-got; seq != want.Seq || !way.done.Load() {
			t.Errorf("of %s the handler of fact %d reads fact %d, want %d (misled: %v)", want.Entity(), nudge.Seq, seq, want.Seq, way.done.Load())
		}
	}
}

// Who asks for facts since a moment gets none of before, though the server begins with them,
// as one does that has nothing of that moment yet.
func TestFollowSinceIsKept(t *testing.T) {
	t.Parallel()
	if testenv.Clustered() {
		t.Skip("about one server")
	}
	n := testenv.StartNATS(t)
	writer := n.Open(t, journal.Config{})
	mustAppend(t, writer, journal.Record{}, fact("o-1", "accepted"))
	old, err := writer.Last(t.Context(), order("o-1"))
	if err != nil {
		t.Fatal(err)
	}
	want := mustAppend(t, writer, journal.Record{}, fact("o-2", "accepted"))
	way := &misled{server: n.URL, word: []byte(`"opt_start_time":"20`), other: []byte(`"opt_start_time":"19`)}
	reader := n.Open(t, journal.Config{InProcess: way})
	enough := errors.New("enough")
	var got []uint64
	err = reader.Follow(t.Context(), journal.From{Since: old.Stamp.Add(time.Nanosecond)}, nil, func(r journal.Record) error {
		got = append(got, r.Seq)
		if r.Seq == want.Seq {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || len(got) != 1 || !way.done.Load() {
		t.Errorf("followed %v, %v (misled: %v); want %d alone", got, err, way.done.Load(), want.Seq)
	}
}

// Who begins and is refused begins again.
func TestBeginAgain(t *testing.T) {
	t.Parallel()
	if testenv.Clustered() {
		t.Skip("about one server")
	}
	n := testenv.StartNATS(t)
	end := mustAppend(t, n.Open(t, journal.Config{}), journal.Record{}, fact("a", "accepted"))
	way := &misled{server: n.URL, word: []byte("$JS.API.CONSUMER.CREATE"), other: []byte("nobody")} // who is not there
	j := n.Open(t, journal.Config{InProcess: way})
	noted := 0
	seq, err := j.Begin(t.Context(), journal.Beginning{
		Newest:   []string{event.Order.Filter("*", "*")},
		Note:     func(journal.Record) bool { noted++; return true },
		Progress: func(uint64, uint64) {},
	})
	if err != nil || seq != end.Seq || noted != 1 {
		t.Errorf("Begin = %d, %v, and hands over %d facts; want %d, and one", seq, err, noted, end.Seq)
	}
	if !way.done.Load() {
		t.Error("nothing was refused")
	}
}

// A follower whose consumer goes on as if nothing came, as on a server that no longer takes
// part, asks the leader and begins again; one that has all there is does not.
func TestStillFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := embedded.StartNATS(embedded.NATSConfig{Dir: t.TempDir(), Relaxed: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		j, err := journal.Open(t.Context(), journal.Config{InProcess: s, MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		nc, err := nats.Connect("", nats.InProcessServer(s))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := js.Stream(t.Context(), journal.Facts)
		if err != nil {
			t.Fatal(err)
		}
		consumers := func() (names []string) {
			for c := range stream.ListConsumers(t.Context()).Info() {
				names = append(names, c.Name)
			}
			return names
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		got, done := make(chan string, 8), make(chan error, 1)
		go func() {
			done <- j.Follow(ctx, journal.From{}, []string{event.Order.Filter("placed", "*")}, func(r journal.Record) error {
				got <- r.Entity().ID
				return nil
			})
		}()
		mustAppend(t, j, journal.Record{}, fact("o-1", "placed"))
		mustAppend(t, j, journal.Record{}, fact("o-2", "accepted")) // which it does not want
		if id := <-got; id != "o-1" {
			t.Fatalf("%s came, want o-1", id)
		}
		before := consumers()
		time.Sleep(time.Minute)
		if now := consumers(); len(before) != 1 || !slices.Equal(now, before) {
			t.Fatalf("there were the consumers %v and are %v, want one and the same", before, now)
		}
		if _, err := stream.PauseConsumer(t.Context(), before[0], time.Now().Add(24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		mustAppend(t, j, journal.Record{}, fact("o-3", "placed"))
		if id := <-got; id != "o-3" {
			t.Errorf("%s came, want o-3", id)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("it came after %v, want seconds", took)
		}
		// One of which nobody here knows comes within half a minute more.
		if _, err := stream.PauseConsumer(t.Context(), consumers()[0], time.Now().Add(24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		start = time.Now()
		other, err := journal.Open(t.Context(), journal.Config{InProcess: s, MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		mustAppend(t, other, journal.Record{}, fact("o-4", "placed"))
		if id := <-got; id != "o-4" {
			t.Errorf("%s came, want o-4", id)
		}
		if took := time.Since(start); took > 45*time.Second {
			t.Errorf("it came after %v, want half a minute", took)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
