package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// A program is a process that can be killed, stopped and started again.
type program struct {
	name string
	args []string // the command first
	env  []string // beside ours
	log  string   // file of all it writes, over all its lives
	full string   // file which, while it is there, means that its disk is full
	// lost is told if it ends though nobody ended it.
	lost func(name string, how error)
	// busy is held by the fault that has it.
	busy sync.Mutex

	mu     sync.Mutex
	cmd    *exec.Cmd
	ended  chan struct{}
	wanted bool // it is to run
}

func newProgram(name, dir string, lost func(string, error), args ...string) *program {
	return &program{name: name, args: args, log: filepath.Join(dir, name+".log"), lost: lost}
}

// start starts it, with more in its environment.
func (p *program) start(env ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()                                         // the process has it
	cmd := exec.CommandContext(context.Background(), p.args[0], p.args[1:]...) // kill ends it
	cmd.Env = append(append(os.Environ(), p.env...), env...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, tied()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended, p.wanted = cmd, ended, true
	go func() { // it ends with the process, for which kill waits
		how := cmd.Wait()
		p.mu.Lock()
		wanted := p.wanted && p.cmd == cmd && !p.isFull() // NATS does not start without room
		p.mu.Unlock()
		if wanted {
			p.lost(p.name, how)
		}
		close(ended)
	}()
	return nil
}

// signal sends a signal; a process that is no more takes none.
func (p *program) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s) // it may have ended
	}
}

// kill ends it without a chance to tidy up, and waits until it is gone.
func (p *program) kill() {
	p.mu.Lock()
	cmd, ended := p.cmd, p.ended
	p.wanted = false
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill() // it may have ended
	<-ended
}

// restart kills it and starts it again, with more in its environment.
func (p *program) restart(env ...string) error {
	p.kill()
	return p.start(env...)
}

// noRoom makes its disk full.
func (p *program) noRoom() error { return os.WriteFile(p.full, nil, 0o600) }

func (p *program) isFull() bool {
	_, err := os.Stat(p.full)
	return p.full != "" && err == nil
}

// room gives it room on its disk again, and starts it anew.
func (p *program) room() error {
	if err := os.Remove(p.full); err != nil {
		return err
	}
	return p.restart()
}

// interrupt ends it as Ctrl-C does, and reports how that went.
func (p *program) interrupt(limit time.Duration) error {
	p.mu.Lock()
	ended := p.ended
	p.wanted = false
	p.mu.Unlock()
	p.signal(syscall.SIGINT)
	select {
	case <-ended:
	case <-time.After(limit):
		p.signal(syscall.SIGQUIT) // its log then says what it waits for
		<-time.After(time.Second)
		p.kill()
		return fmt.Errorf("%s does not end within %v of an interrupt", p.name, limit)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s ends with code %d after an interrupt", p.name, code)
	}
	return nil
}

// within waits until ready returns nil.
func within(ctx context.Context, limit time.Duration, what string, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %v: %w", what, limit, errors.Join(context.Cause(ctx), err))
		case <-time.After(100 * time.Millisecond):
		}
	}
}
