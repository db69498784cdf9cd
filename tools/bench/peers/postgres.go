package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"patchbay.io/tools/bench/rig"
)

// ErrAbsent reports that a machine lacks what a peer stands on.
var ErrAbsent = errors.New("not on this machine")

// postgres is a PostgreSQL server of our own, which listens on a socket in its folder only, or
// one that another process has started: that has neither folder nor server.
type postgres struct {
	dir    string
	server *exec.Cmd
	pool   *pgxpool.Pool
}

// connections are those of the pool.
const connections = 32

// postgresAt starts PostgreSQL for the place, or joins the one that is there.
func postgresAt(ctx context.Context, at *rig.Place) (*postgres, error) {
	if at.Part == rig.Workers {
		p := &postgres{}
		if err := p.connect(ctx, at.Postgres); err != nil {
			return nil, errors.Join(err, p.stop())
		}
		return p, nil
	}
	p, err := startPostgres(ctx)
	if err == nil {
		at.Postgres = p.dsn()
	}
	return p, err
}

// startPostgres makes a cluster with the default settings, which sync each commit to disk,
// and starts it.
func startPostgres(ctx context.Context) (_ *postgres, err error) {
	bin, err := postgresPrograms(ctx)
	if err != nil {
		return nil, err
	}
	who, err := unprivileged()
	if err != nil {
		return nil, err
	}
	p := &postgres{}
	// A folder of its own, not the caller's: its owner is another user.
	if p.dir, err = os.MkdirTemp("", "patchbay-bench-pg-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	if who != nil {
		if err := os.Chown(p.dir, int(who.Uid), int(who.Gid)); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(p.dir, "data")
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = p.dir, &syscall.SysProcAttr{Credential: who}
		return cmd
	}
	if said, err := command("initdb", "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--no-locale").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, said)
	}
	ctx = context.WithoutCancel(ctx) // the server is ended when nobody uses it any more
	server := command("postgres", "-D", data, "-k", p.dir, "-c", "listen_addresses=")
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGINT) } // its fast shutdown
	server.WaitDelay = patience
	said, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = said.Close() }() // the server has its own
	server.Stderr = said
	if err := server.Start(); err != nil {
		return nil, err
	}
	p.server = server
	if err := p.connect(ctx, p.dsn()); err != nil {
		log, _ := os.ReadFile(said.Name()) // the error itself tells as much as there is
		return nil, fmt.Errorf("%w\n%s", err, log)
	}
	return p, nil
}

// postgresPrograms is the folder of initdb and postgres, which Debian keeps off the PATH.
func postgresPrograms(ctx context.Context) (string, error) {
	var folders []string
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			folders = append(folders, filepath.Dir(path))
		}
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		folders = append(folders, strings.TrimSpace(string(out)))
	}
	debian, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	for _, dir := range append(folders, debian...) {
		_, noInit := os.Stat(filepath.Join(dir, "initdb"))
		_, noServer := os.Stat(filepath.Join(dir, "postgres"))
		if noInit == nil && noServer == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("PostgreSQL is %w: there is no initdb in PATH, in the folder that pg_config names, or below "+
		"/usr/lib/postgresql; on Debian, apt-get install postgresql", ErrAbsent)
}

// unprivileged is whom to run PostgreSQL as, for it refuses to run as root: nil is as we are.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gerr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uerr, gerr); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("a user to run PostgreSQL as is %w: it does not run as root, and there is neither postgres nor nobody", ErrAbsent)
}

func (p *postgres) dsn() string {
	return fmt.Sprintf("host=%s user=bench dbname=postgres pool_max_conns=%d", p.dir, connections)
}

func (p *postgres) connect(ctx context.Context, dsn string) error {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return err
	}
	if p.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return err
	}
	return until(ctx, "PostgreSQL", p.pool.Ping)
}

// until waits until a server answers.
func until(ctx context.Context, name string, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", name, err)
		case <-tick.C:
		}
	}
}

// writes is how many transactions have written something: ids are given to no others.
func (p *postgres) writes(ctx context.Context) (float64, error) {
	var n int64
	err := p.pool.QueryRow(ctx, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").Scan(&n)
	return float64(n), err
}

// stop ends the server, waits for it, and removes the folder, if they are ours.
func (p *postgres) stop() error {
	if p.pool != nil {
		p.pool.Close()
	}
	return errors.Join(end(p.server), os.RemoveAll(p.dir))
}

// end asks a process of ours to end and waits for it.
func end(cmd *exec.Cmd) error {
	if cmd == nil {
		return nil
	}
	if err := cmd.Cancel(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }) // it may have ended
	defer late.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) && !errors.As(err, &exit) {
		return fmt.Errorf("%s: %w", filepath.Base(cmd.Path), err)
	}
	return nil
}
