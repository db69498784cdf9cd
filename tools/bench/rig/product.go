package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/secret"
	"patchbay.io/pkg/service"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/approver"
	"patchbay.io/services/provisioner"
	"patchbay.io/services/requester"
	"patchbay.io/services/statuswatcher"
)

// Product is all four services, with one projector and their answers, on embedded Redis, and
// a client; or a part of that.
type Product struct {
	// Window is a client's connection to the journal; nil with the workers only.
	Window *journal.Journal
	// Hook is where the product takes what the exchange pushes.
	Hook string

	nats   *NATS
	redis  *Redis
	cancel context.CancelFunc
	work   errgroup.Group
	close  []func() error
}

// StartProduct starts the product's part that is to be at the place, with the accounts at its
// exchange.
func StartProduct(ctx context.Context, n *NATS, at *Place) (*Product, error) {
	redis, err := RedisAt(at)
	if err != nil {
		return nil, err
	}
	p := &Product{nats: n, redis: redis}
	ctx, p.cancel = context.WithCancel(ctx)
	if at.Part != Front {
		err = p.serve(ctx, at.Exchange)
	}
	if err == nil && at.Part != Workers {
		err = p.look(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// serve starts the services.
func (p *Product) serve(ctx context.Context, x Endpoint) error {
	cfg := service.Config{NATS: p.nats.Journal(), Accounts: x.Accounts(), Key: secret.NewKey([32]byte{1}), Log: zerolog.New(os.Stderr).Level(zerolog.WarnLevel)}
	cfg.Redis.Dial, cfg.Redis.Alone = p.redis.Dial, p.redis.own != nil
	var err error
	if cfg.Clients, err = service.OpenClients(cfg); err != nil {
		return err
	}
	p.close = append(p.close, cfg.Clients.Close)
	pushes, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.Hook = "http://" + pushes.Addr().String() + statuswatcher.PushPath
	for name, run := range theServices(pushes) {
		cfg.Name = name
		rt, err := service.Open(ctx, cfg)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		p.close = append(p.close, rt.Close)
		if cfg.View == nil {
			cfg.View = rt.View
			p.work.Go(func() error { return rt.View.Project(ctx, rt.Journal) })
		}
		own := *rt // the service's, copied before rt is at work
		p.work.Go(func() error { return run(ctx, own) })
		p.work.Go(func() error { return rt.Answer(ctx) })
	}
	return nil
}

// look opens the window. It makes the streams if no service is there yet.
func (p *Product) look(ctx context.Context) (err error) {
	window := p.nats.Journal()
	window.Client, window.Make, window.Name = true, true, "bench"
	if p.Window, err = journal.Open(ctx, window); err != nil {
		return err
	}
	p.close = append(p.close, func() error { p.Window.Close(); return nil })
	return nil
}

func theServices(pushes net.Listener) map[string]func(context.Context, service.Runtime) error {
	return map[string]func(context.Context, service.Runtime) error{
		"requester": func(ctx context.Context, rt service.Runtime) error {
			return requester.Run(ctx, rt, requester.Limits{}) // no budgets: one source publishes all there is
		},
		"approver":    approver.Run,
		"provisioner": provisioner.Run,
		"status-watcher": func(ctx context.Context, rt service.Runtime) error {
			return watch(ctx, rt, pushes)
		},
	}
}

// hookToken is what the exchange shows when it pushes.
const hookToken = "bench"

// watch runs the status-watcher and its receiver of pushed events.
func watch(ctx context.Context, rt service.Runtime, pushes net.Listener) error {
	w, err := statuswatcher.New(rt, statuswatcher.Pace{})
	if err != nil {
		return err
	}
	server := &http.Server{Handler: w.Receiver(hookToken), ReadHeaderTimeout: 10 * time.Second}
	var work errgroup.Group
	work.Go(func() error {
		if err := server.Serve(pushes); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	work.Go(func() error {
		err := w.Run(ctx)
		return errors.Join(err, server.Close())
	})
	return work.Wait()
}

// Submit publishes the intent of a wish, and returns when it is on disk.
func (p *Product) Submit(ctx context.Context, w Wish) error {
	e, err := event.NewIntent(event.IntentType(event.Intent, "create"), "bench", w.Name, w.Intent())
	if err != nil {
		return err
	}
	_, err = p.Window.Submit(ctx, event.IntentSubject(event.Intent, "create"), e)
	return err
}

// Told is what a subscriber learns about a circuit that he ordered.
type Told struct {
	Name string
	// Provisioned: the circuit is in service.
	Provisioned bool
	// Done: nothing more will be done for the intent.
	Done bool
	// Failed is why it was given up; empty unless it was.
	Failed string
}

// Follow tells what becomes of intents from now on, until ctx ends.
func (p *Product) Follow(ctx context.Context, tell func(Told)) error {
	filters := []string{event.Connection.Filter("provisioned.available", "*")}
	for _, fact := range []string{"completed", "failed", "invalid", "orphaned"} {
		filters = append(filters, event.Order.Filter(fact, "*"))
	}
	return p.Window.Follow(ctx, journal.From{New: true}, filters, func(r journal.Record) error {
		if r.Entity().Noun == event.Connection {
			var t patchbayv1.Transition
			if err := r.Into(&t); err != nil {
				return err
			}
			tell(Told{Name: t.GetConnection().GetName(), Provisioned: true})
			return nil
		}
		var o patchbayv1.Order
		if err := r.Into(&o); err != nil {
			return err
		}
		t := Told{Name: o.GetCreate().GetName(), Done: true}
		if o.GetFact() != "completed" {
			t.Failed = fmt.Sprintf("order %s: %s", o.GetFact(), r.Event.Data())
		}
		tell(t)
		return nil
	})
}

// Writes is how many messages the product's streams have taken.
func (p *Product) Writes(ctx context.Context) (float64, error) {
	w, err := CountWrites(ctx, p.nats)
	return w.Sum(), err
}

// Stop ends the services and waits for them.
func (p *Product) Stop() error {
	p.cancel()
	errs := []error{p.work.Wait()}
	for i := len(p.close) - 1; i >= 0; i-- {
		errs = append(errs, p.close[i]())
	}
	p.redis.Stop()
	return errors.Join(errs...)
}
