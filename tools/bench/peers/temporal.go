package peers

import (
	"bufio"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"golang.org/x/sync/errgroup"

	"patchbay.io/tools/bench/rig"
)

const (
	// cli is Temporal's command line, which has the dev server in it.
	cli        = "github.com/temporalio/cli/cmd/temporal"
	cliVersion = "v1.5.1"
	// building it takes minutes the first time.
	building = 15 * time.Minute
	// tasks is the queue of the worker.
	tasks = "circuits"
	// refused is the type of error that is not tried again.
	refused = "refused"
)

// InstallTemporal builds Temporal's command line into the folder bin, unless it is there, and
// returns its path. It returns [ErrAbsent] if that cannot be done here.
func InstallTemporal(ctx context.Context, bin string) (string, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return "", err
	}
	path := filepath.Join(bin, "temporal")
	if about, err := buildinfo.ReadFile(path); err == nil && about.Main.Version == cliVersion {
		return path, nil
	}
	ctx, cancel := context.WithTimeout(ctx, building)
	defer cancel()
	install := exec.CommandContext(ctx, "go", "install", cli+"@"+cliVersion)
	install.Env = append(os.Environ(), "GOBIN="+bin, "GOWORK=off")
	if said, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the dev server of Temporal is %w: go install %s@%s: %w\n%s", ErrAbsent, cli, cliVersion, err, said)
	}
	return path, nil
}

// Temporal carries out intents as workflows of Temporal's dev server, which keeps them in a
// SQLite file: each step is an activity. An intent is taken once because its key is the
// workflow's id. A part of it has the server or the worker only.
type Temporal struct {
	calls   calls
	server  *exec.Cmd
	metrics string
	client  client.Client
	worker  worker.Worker
	runs    chan started
	told    chan rig.Told
	cancel  context.CancelFunc
	work    errgroup.Group
}

// StartTemporal starts the program at path as a dev server, whose file is in the place's folder,
// and a worker, or the part that is to be at the place.
func StartTemporal(ctx context.Context, path string, at *rig.Place) (_ *Temporal, err error) {
	t := &Temporal{runs: make(chan started), told: make(chan rig.Told, 1024)}
	ctx, t.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Stop())
		}
	}()
	if t.calls, err = newCalls(at.Exchange); err != nil {
		return nil, err
	}
	if at.Part != rig.Workers {
		if err := t.serve(ctx, path, at); err != nil {
			return nil, err
		}
	}
	return t, t.start(ctx, at)
}

// serve starts the server.
func (t *Temporal) serve(ctx context.Context, path string, at *rig.Place) error {
	ports, err := rig.FreePorts(ctx, 2)
	if err != nil {
		return err
	}
	at.Temporal = "127.0.0.1:" + strconv.Itoa(ports[0])
	t.metrics = "http://127.0.0.1:" + strconv.Itoa(ports[1]) + "/metrics"
	// A write-ahead log that is synced at each commit is the fastest way in which SQLite loses nothing.
	server := exec.CommandContext(context.WithoutCancel(ctx), path, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--log-level", "never",
		"--port", strconv.Itoa(ports[0]), "--metrics-port", strconv.Itoa(ports[1]), "--db-filename", filepath.Join(at.Dir, "temporal.db"),
		"--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=FULL")
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
	server.WaitDelay = patience
	if err := server.Start(); err != nil {
		return err
	}
	t.server = server
	return nil
}

func (t *Temporal) start(ctx context.Context, at *rig.Place) error {
	quiet := log.NewStructuredLogger(slog.New(slog.DiscardHandler)) // what is given up is told
	var err error
	if t.client, err = client.NewLazyClient(client.Options{HostPort: at.Temporal, Logger: quiet}); err != nil {
		return err
	}
	err = until(ctx, "Temporal", func(ctx context.Context) error {
		// The server answers before it has made the namespace.
		_, err := t.client.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: client.DefaultNamespace})
		return err
	})
	if err != nil {
		return err
	}
	if at.Part != rig.Workers {
		t.work.Go(func() error { return t.await(ctx) })
	}
	if at.Part == rig.Front {
		return nil
	}
	pollers := worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{})
	w := worker.New(t.client, tasks, worker.Options{WorkflowTaskPollerBehavior: pollers, ActivityTaskPollerBehavior: pollers})
	w.RegisterWorkflow(circuit)
	w.RegisterActivity(&activities{t.calls})
	if err := w.Start(); err != nil {
		return err
	}
	t.worker = w
	return nil
}

// activities are the steps.
type activities struct{ calls calls }

// Create orders the circuit.
func (a *activities) Create(ctx context.Context, o order) (order, error) {
	return noRetry(a.calls.create(ctx, o))
}

// Accept lands the circuit for its seller.
func (a *activities) Accept(ctx context.Context, o order) (order, error) {
	return noRetry(a.calls.accept(ctx, o))
}

// Read fails until the circuit is PROVISIONED.
func (a *activities) Read(ctx context.Context, o order) (order, error) {
	return noRetry(a.calls.provisioned(ctx, o))
}

// noRetry says in Temporal's way what is not worth another try.
func noRetry(o order, err error) (order, error) {
	if errors.Is(err, errRefused) {
		return o, temporal.NewNonRetryableApplicationError(err.Error(), refused, err)
	}
	return o, err
}

// circuit is the workflow.
func circuit(ctx workflow.Context, o order) (order, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: Dead, RetryPolicy: &temporal.RetryPolicy{InitialInterval: again},
	})
	var a *activities
	for _, step := range []any{a.Create, a.Accept, a.Read} {
		if err := workflow.ExecuteActivity(ctx, step, o).Get(ctx, &o); err != nil {
			return o, err
		}
	}
	return o, nil
}

// Submit starts the workflow of an intent. Who started it receives its outcome.
func (t *Temporal) Submit(ctx context.Context, w rig.Wish) error {
	run, err := t.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: w.Name, TaskQueue: tasks, WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
	}, circuit, order{Wish: w})
	if err != nil {
		return err
	}
	select {
	case t.runs <- started{w, run}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// started is a workflow whose outcome is waited for.
type started struct {
	wish rig.Wish
	run  client.WorkflowRun
}

// await waits for the outcomes of workflows, until ctx ends.
func (t *Temporal) await(ctx context.Context) error {
	for {
		select {
		case s := <-t.runs:
			t.work.Go(func() error { return t.outcome(ctx, s) })
		case <-ctx.Done():
			return nil
		}
	}
}

func (t *Temporal) outcome(ctx context.Context, s started) error {
	o := order{Wish: s.wish}
	err := s.run.Get(ctx, &o)
	if failure := new(temporal.WorkflowExecutionError); errors.As(err, &failure) {
		o.Failed, err = err.Error(), nil
	}
	if ctx.Err() != nil {
		return nil // nobody waits any more
	}
	if err != nil {
		return fmt.Errorf("outcome of %s: %w", s.wish.Name, err)
	}
	select {
	case t.told <- o.told():
	case <-ctx.Done():
	}
	return nil
}

// Follow tells what becomes of intents, until ctx ends.
func (t *Temporal) Follow(ctx context.Context, tell func(rig.Told)) error {
	return follow(ctx, t.told, tell)
}

// Events is how many events a workflow's history has.
func (t *Temporal) Events(ctx context.Context, w rig.Wish) (int64, error) {
	d, err := t.client.DescribeWorkflowExecution(ctx, w.Name, "")
	if err != nil {
		return 0, err
	}
	return d.GetWorkflowExecutionInfo().GetHistoryLength(), nil
}

// storing are requests to the store that write, as the server counts them.
var storing = regexp.MustCompile(`^(?:visibility_)?persistence_requests\{.*operation="(?:Create|Update|Upsert|Record|Complete|RangeComplete|Delete)\w*".*\} (\S+)$`)

// Writes is how many requests that write its store has had, by the server's own count.
func (t *Temporal) Writes(ctx context.Context) (n float64, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, t.metrics, http.NoBody)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if m := storing.FindStringSubmatch(lines.Text()); m != nil {
			v, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				return 0, err
			}
			n += v
		}
	}
	return n, lines.Err()
}

// Stop ends the worker and the server, and waits for them.
func (t *Temporal) Stop() error {
	t.cancel()
	if t.worker != nil {
		t.worker.Stop()
	}
	if t.client != nil {
		t.client.Close()
	}
	t.calls.close()
	err := t.work.Wait()
	return errors.Join(err, end(t.server))
}
