package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
)

// headroom is what must fit on the disk before a server is started that was not able to write.
const headroom = 1 << 20

// writeError is how the server says that it does not write to a stream any more.
const writeError = "write error"

// Healthy reports why the server does not run or does not write to a stream; nil if it does.
func (n *NATS) Healthy() error {
	srv := n.server()
	if !srv.Running() {
		return errors.New("the server is stopped")
	}
	for _, e := range srv.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if strings.Contains(e.Error, writeError) {
			return errors.New(e.Error)
		}
	}
	return nil
}

// Keep starts the server anew when it could not write, as soon as there is room, until ctx
// ends. A stream of which one write has failed takes nothing any more, whatever room there is:
// the server knows what is on the disk for certain only when it has read it again. Clients
// connect again by themselves.
func (n *NATS) Keep(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		why := n.Healthy()
		if why == nil || n.room() != nil {
			continue
		}
		n.cfg.Log.Warn().Err(why).Msg("there is room again: the server is started anew")
		if err := n.again(); err != nil {
			n.cfg.Log.Error().Err(err).Msg("start NATS anew")
		}
	}
}

// again stops the server and starts another in its place.
func (n *NATS) again() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	stop(n.srv)
	srv, err := start(n.cfg)
	if err == nil {
		n.srv = srv
	}
	return err
}

// room reports why nothing can be written where the streams are; nil if something can.
func (n *NATS) room() (err error) {
	f, err := os.Create(filepath.Join(n.cfg.Dir, "room"))
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, headroom))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

// lines writes what the server has to say into a log.
type lines struct{ log zerolog.Logger }

func (l lines) Noticef(string, ...any) {}
func (l lines) Debugf(string, ...any)  {}
func (l lines) Tracef(string, ...any)  {}
func (l lines) Warnf(format string, v ...any) {
	l.log.Warn().Str("nats", fmt.Sprintf(format, v...)).Msg("NATS server")
}
func (l lines) Errorf(format string, v ...any) {
	l.log.Error().Str("nats", fmt.Sprintf(format, v...)).Msg("NATS server")
}
func (l lines) Fatalf(format string, v ...any) {
	l.log.Error().Str("nats", fmt.Sprintf(format, v...)).Msg("NATS server")
}
