package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"patchbay.io/tools/bench/rig"
)

// cooldown is the least time between two fetches of a queue; the default of 100 ms would
// bound throughput.
const cooldown = 10 * time.Millisecond

// Rescue is after what time a job's worker is taken for dead: more than a job may take, which
// is [Dead]. River looks for such jobs each 30 s, which cannot be set. Its default is an hour.
const Rescue = Dead + time.Second

// River carries out intents as jobs of River on PostgreSQL: each step ends by completing
// its job and inserting the next one in one transaction. An intent is taken once because
// its job is unique by its key. A part of it works off the queues that it has.
type River struct {
	calls  calls
	pg     *postgres
	client *river.Client[pgx.Tx]
	told   chan rig.Told
}

// StartRiver starts PostgreSQL and workers on it, or the part that is to be at the place. It
// returns [ErrAbsent] if this machine has no PostgreSQL.
func StartRiver(ctx context.Context, at *rig.Place) (_ *River, err error) {
	r := &River{told: make(chan rig.Told, 1024)}
	if r.pg, err = postgresAt(ctx, at); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Stop())
		}
	}()
	if r.calls, err = newCalls(at.Exchange); err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler) // a step that fails is done again; what is given up is told
	if at.Part != rig.Workers {
		m, err := rivermigrate.New(riverpgxv5.New(r.pg.pool), &rivermigrate.Config{Logger: log})
		if err != nil {
			return nil, err
		}
		if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return nil, fmt.Errorf("migrate River: %w", err)
		}
	}
	return r, r.start(ctx, at.Part, log)
}

// start works off the queues of the part.
func (r *River) start(ctx context.Context, part rig.Part, log *slog.Logger) error {
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(r.create))
	river.AddWorker(workers, river.WorkFunc(r.accept))
	river.AddWorker(workers, river.WorkFunc(r.read))
	river.AddWorker(workers, river.WorkFunc(r.tell))
	queue := river.QueueConfig{MaxWorkers: handlers, FetchCooldown: cooldown}
	queues := map[string]river.QueueConfig{}
	if part != rig.Front {
		queues[river.QueueDefault] = queue
	}
	if part != rig.Workers {
		queues[outcomes] = queue
	}
	client, err := river.NewClient(riverpgxv5.New(r.pg.pool), &river.Config{
		Queues: queues, Workers: workers, Logger: log, JobTimeout: Dead, RescueStuckJobsAfter: Rescue,
	})
	if err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return err
	}
	r.client = client
	return nil
}

// Jobs, one for each step.
type (
	createJob struct {
		Key   string `river:"unique"`
		Order order
	}
	acceptJob struct{ Order order }
	readJob   struct{ Order order }
	tellJob   struct{ Order order }
)

// Kind names the job.
func (createJob) Kind() string { return "create" }

// Kind names the job.
func (acceptJob) Kind() string { return "accept" }

// Kind names the job.
func (readJob) Kind() string { return "read" }

// Kind names the job.
func (tellJob) Kind() string { return "tell" }

// InsertOpts makes an intent's job unique by its key.
func (createJob) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}}
}

// InsertOpts puts outcomes into the subscriber's queue.
func (tellJob) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: outcomes} }

func (r *River) create(ctx context.Context, job *river.Job[createJob]) error {
	o, err := r.calls.create(ctx, job.Args.Order)
	return step(ctx, r, job, outcome{o, err, acceptJob{o}})
}

func (r *River) accept(ctx context.Context, job *river.Job[acceptJob]) error {
	o, err := r.calls.accept(ctx, job.Args.Order)
	return step(ctx, r, job, outcome{o, err, readJob{o}})
}

func (r *River) read(ctx context.Context, job *river.Job[readJob]) error {
	o, err := r.calls.provisioned(ctx, job.Args.Order)
	if errors.Is(err, errNotYet) {
		return river.JobSnooze(again)
	}
	return step(ctx, r, job, outcome{o, err, tellJob{o}})
}

func (r *River) tell(ctx context.Context, job *river.Job[tellJob]) error {
	select {
	case r.told <- job.Args.Order.told():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// outcome is what came of a call, and the job that follows if it went well.
type outcome struct {
	order order
	err   error
	next  river.JobArgs
}

// step completes a job and inserts the next one, in one transaction.
func step[T river.JobArgs](ctx context.Context, r *River, job *river.Job[T], out outcome) error {
	switch {
	case errors.Is(out.err, errRefused):
		out.order.Failed = out.err.Error()
		out.next = tellJob{out.order}
	case out.err != nil:
		return out.err
	}
	return pgx.BeginFunc(ctx, r.pg.pool, func(tx pgx.Tx) error {
		if _, err := r.client.InsertTx(ctx, tx, out.next, nil); err != nil {
			return err
		}
		_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
		return err
	})
}

// Submit inserts an intent.
func (r *River) Submit(ctx context.Context, w rig.Wish) error {
	_, err := r.client.Insert(ctx, createJob{Key: w.Name, Order: order{Wish: w}}, nil)
	return err
}

// Follow tells what becomes of intents, until ctx ends.
func (r *River) Follow(ctx context.Context, tell func(rig.Told)) error {
	return follow(ctx, r.told, tell)
}

// Writes is how many transactions have written something.
func (r *River) Writes(ctx context.Context) (float64, error) { return r.pg.writes(ctx) }

// Stop ends the workers and PostgreSQL, and waits for them.
func (r *River) Stop() error {
	var err error
	if r.client != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err = r.client.StopAndCancel(ctx)
	}
	r.calls.close()
	return errors.Join(err, r.pg.stop())
}
