package journal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// replicas is how many replicas a new stream gets.
func (j *Journal) replicas(ctx context.Context) int {
	if j.cfg.Replicas > 0 {
		return j.cfg.Replicas
	}
	if j.nc.ConnectedClusterName() != "" && j.servers(ctx) >= 3 {
		return 3
	}
	return 1
}

// servers counts the servers of the cluster, by address: the same server may be known by
// the name that we were given and by the one that it announces.
func (j *Journal) servers(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	known := map[string]bool{}
	for _, s := range j.nc.Servers() {
		u, err := url.Parse(s)
		if err != nil {
			continue
		}
		host := u.Hostname()
		if ips, err := net.DefaultResolver.LookupHost(ctx, host); err == nil && len(ips) > 0 {
			host = ips[0]
		}
		known[net.JoinHostPort(host, u.Port())] = true
	}
	return len(known)
}

// findStreams looks the streams up. An answer that does not come is asked for again: a
// cluster that elects somebody answers nothing.
func (j *Journal) findStreams(ctx context.Context) error {
	for _, s := range j.streamConfigs() {
		h, err := j.findStream(ctx, s.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
			return fmt.Errorf("no journal at %s: %w", j.where(), ErrNoJournal)
		}
		if err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
		j.streams[s.Name] = h
	}
	return nil
}

func (j *Journal) findStream(ctx context.Context, name string) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTry)
	defer cancel()
	return j.js.Stream(ctx, name)
}

// where names the servers, without passwords.
func (j *Journal) where() string { return redacted(j.cfg.URL) }

func redacted(servers string) string {
	var all []string
	for s := range strings.SplitSeq(servers, ",") {
		if u, err := url.Parse(strings.TrimSpace(s)); err == nil {
			all = append(all, u.Redacted())
		}
	}
	return strings.Join(all, ",")
}
