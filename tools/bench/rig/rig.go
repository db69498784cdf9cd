package rig

import (
	"context"
	"errors"
	"os"

	"patchbay.io/pkg/account"
	"patchbay.io/services/sandbox"
)

// Rig is the product at work: NATS, the exchange and all services, in a folder of their own.
type Rig struct {
	NATS     *NATS
	Exchange *Exchange
	Product  *Product

	dir string
}

// Start starts a rig on one NATS server or three.
func Start(ctx context.Context, nodes int, d sandbox.Delays) (*Rig, error) {
	r := &Rig{}
	if err := r.start(ctx, nodes, d); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

func (r *Rig) start(ctx context.Context, nodes int, d sandbox.Delays) (err error) {
	if r.dir, err = os.MkdirTemp("", "patchbay-bench-"); err != nil {
		return err
	}
	if r.NATS, err = StartNATS(ctx, r.dir, nodes); err != nil {
		return err
	}
	if r.Exchange, err = StartExchange(ctx, account.ECX, d); err != nil {
		return err
	}
	r.Product, err = StartProduct(ctx, r.NATS, &Place{Exchange: r.Exchange.Endpoint})
	return err
}

// Stop ends everything, waits for it, and removes the folder.
func (r *Rig) Stop() error {
	var errs []error
	if r.Product != nil {
		errs = append(errs, r.Product.Stop())
	}
	if r.Exchange != nil {
		errs = append(errs, r.Exchange.Stop())
	}
	if r.NATS != nil {
		r.NATS.Stop()
	}
	return errors.Join(append(errs, os.RemoveAll(r.dir))...)
}
