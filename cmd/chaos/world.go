package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/services/sandbox"
)

// roles are the services, of each of which there are two instances.
var roles = []string{"requester", "approver", "provisioner", "status-watcher"}

const copies = 2

// world is everything that runs, each a process of its own, and the links between.
type world struct {
	opts options
	dir  string // everything is below it
	logs string

	nodes     []*program
	redis     *program
	exchange  *program
	instances []*instance
	routes    []*link // between NATS nodes

	natsURL     string // of all nodes, past the links
	redisAddr   string
	sandboxBase string

	mu    sync.Mutex
	ended []string // programs that ended by themselves
}

// instance is one instance of a service, with its own way to everything.
type instance struct {
	*program
	http    string
	nats    []*link // to each node
	redis   *link
	sandbox *link
}

// links are all of an instance.
func (i *instance) links() []*link { return append([]*link{i.redis, i.sandbox}, i.nats...) }

// freePorts are addresses on which nobody listens now, below the ports that the system
// gives to whoever connects somewhere.
func freePorts(n int) ([]string, error) {
	var all []string
	var lc net.ListenConfig
	var last error
	for range 100 * n {
		l, err := lc.Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", 10000+mathrand.IntN(20000)))
		if err != nil {
			last = err
			continue
		}
		defer func() { _ = l.Close() }() // it was to hold the port only
		if all = append(all, l.Addr().String()); len(all) == n {
			return all, nil
		}
	}
	return nil, fmt.Errorf("no free ports: %w", last)
}

// raise starts everything and waits until it is ready.
func raise(ctx context.Context, opts options, dir, binary, node string) (*world, error) {
	w := &world{opts: opts, dir: dir, logs: filepath.Join(dir, "logs")}
	if err := os.MkdirAll(w.logs, 0o700); err != nil {
		return nil, err
	}
	ports, err := freePorts(8 + copies*len(roles))
	if err != nil {
		return nil, err
	}
	for _, prepare := range []func() error{
		func() error { return w.prepareNATS(node, ports[:3], ports[3:6]) },
		func() error { return w.prepareRedis(ports[6]) },
		func() error { return w.prepareSandbox(binary, ports[7]) },
		func() error { return w.prepareServices(binary, ports[8:], ports[:3]) },
	} {
		if err := prepare(); err != nil {
			return w, err
		}
	}
	for _, p := range w.programs() {
		if err := p.start(); err != nil {
			return w, err
		}
	}
	err = within(ctx, 3*time.Minute, "start", func(ctx context.Context) error {
		for _, i := range w.instances {
			if _, err := get(ctx, "http://"+i.http+"/readyz"); err != nil {
				return fmt.Errorf("%s: %w", i.name, err)
			}
		}
		return nil
	})
	return w, err
}

func (w *world) newProgram(name string, args ...string) *program {
	return newProgram(name, w.logs, func(name string, how error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ended = append(w.ended, fmt.Sprintf("%s ended by itself: %v", name, how))
	}, args...)
}

// programs are all processes.
func (w *world) programs() []*program {
	var all []*program
	all = append(all, w.nodes...)
	for _, p := range []*program{w.redis, w.exchange} {
		if p != nil {
			all = append(all, p)
		}
	}
	for _, i := range w.instances {
		all = append(all, i.program)
	}
	return all
}

func (w *world) links() []*link {
	all := append([]*link(nil), w.routes...)
	for _, i := range w.instances {
		all = append(all, i.links()...)
	}
	return all
}

// prepareNATS writes the configuration of three nodes. Of each pair of nodes, each end
// reaches the other by a link of its own.
func (w *world) prepareNATS(binary string, clients, clusters []string) error {
	for i := range clients {
		var routes []*link
		for j, to := range clusters {
			if i == j {
				continue
			}
			l, err := newLink(nodeName(i)+" to "+nodeName(j), to)
			if err != nil {
				return err
			}
			routes = append(routes, l)
		}
		w.routes = append(w.routes, routes...)
		dir := filepath.Join(w.dir, nodeName(i))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		file := filepath.Join(dir, "nats.conf")
		if err := os.WriteFile(file, []byte(nodeConfig(i, dir, clients[i], clusters[i], routes)), 0o600); err != nil {
			return err
		}
		node := w.newProgram(nodeName(i), binary, nodeCommand, file)
		node.full = filepath.Join(dir, "full")
		node.env = []string{diskVariable + "=" + node.full}
		w.nodes = append(w.nodes, node)
	}
	w.natsURL = "nats://" + strings.Join(clients, ",nats://")
	return nil
}

func (w *world) prepareRedis(addr string) error {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return fmt.Errorf("a real redis-server is needed: %w", err)
	}
	dir := filepath.Join(w.dir, "redis")
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	w.redisAddr = addr
	w.redis = w.newProgram("redis", path, "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "everysec", "--aof-use-rdb-preamble", "no")
	return os.MkdirAll(dir, 0o700)
}

func (w *world) prepareSandbox(binary, addr string) error {
	scenario := filepath.Join(w.dir, "scenario.yaml")
	w.sandboxBase = "http://" + addr
	w.exchange = w.newProgram("sandbox", binary, "sandbox", "--sandbox-addr", addr, "--log-format", "json", "--log-level", "warn",
		"--state", filepath.Join(w.dir, "sandbox.jsonl"), "--scenario", scenario)
	return os.WriteFile(scenario, []byte("lockAfter: -1\ndelays: {provision: 1s, deprovision: 1s, visible: 1s, history: 1m}\n"), 0o600)
}

func (w *world) prepareServices(binary string, pages, nodes []string) error {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	keyFile := filepath.Join(w.dir, "key")
	if err := os.WriteFile(keyFile, key, 0o600); err != nil {
		return err
	}
	for _, role := range roles {
		for n := range copies {
			i := &instance{http: pages[len(w.instances)]}
			name := fmt.Sprintf("%s-%d", role, n+1)
			urls := make([]string, len(nodes))
			to := append([]string{w.redisAddr, strings.TrimPrefix(w.sandboxBase, "http://")}, nodes...)
			links := make([]*link, len(to))
			for j, addr := range to {
				l, err := newLink(name+" to "+append([]string{"redis", "sandbox"}, nodeNames()...)[j], addr)
				if err != nil {
					return err
				}
				links[j] = l
			}
			i.redis, i.sandbox, i.nats = links[0], links[1], links[2:]
			for j, l := range i.nats {
				urls[j] = "nats://" + l.addr()
			}
			accounts := filepath.Join(w.dir, name+".yaml")
			if err := os.WriteFile(accounts, w.accounts("http://"+i.sandbox.addr()), 0o600); err != nil {
				return err
			}
			i.program = w.newProgram(name, binary, role, "--nats-url", strings.Join(urls, ","), "--redis-url", "redis://"+i.redis.addr(),
				"--accounts", accounts, "--key-file", keyFile, "--http-addr", i.http, "--replicas", "3",
				"--log-format", "json", "--log-level", w.opts.logs)
			i.env = []string{
				"ID_acme=acme-client", "SECRET_acme=acme-secret", "KEY_acme=acme-api-key",
				"ID_cloud=cloud-client", "SECRET_cloud=cloud-secret", "KEY_cloud=cloud-api-key",
			}
			w.instances = append(w.instances, i)
		}
	}
	return nil
}

func nodeNames() []string { return []string{nodeName(0), nodeName(1), nodeName(2)} }

type object = map[string]any

// accounts is an accounts file, in JSON, which is YAML: the accounts of the sandbox, with
// budgets that are no bottleneck and a policy that names decide.
func (w *world) accounts(base string) []byte {
	var all []object
	for _, a := range account.Sandbox(base).Accounts {
		tenant, api, _ := strings.Cut(a.Name, "-")
		credentials := object{"clientId": "env:ID_" + tenant, "clientSecret": "env:SECRET_" + tenant}
		if api == string(account.PacketFabric) {
			credentials = object{"apiKey": "env:KEY_" + tenant}
		}
		one := object{
			"name": a.Name, "api": a.API, "role": a.Role, "baseUrl": base, "credentials": credentials,
			"budgetPerMinute": 60000, "attempt": w.opts.attempt.String(), "quiet": w.opts.quiet.String(),
		}
		if a.Role.Sells() {
			var landings []object
			for _, l := range a.Landing {
				landing := object{"encapsulation": l.Encapsulation, "ports": l.Ports, "tags": fmt.Sprint(l.Tags)}
				if l.Market != "" {
					landing["market"] = l.Market
				} else {
					landing["metro"] = l.Metro
				}
				landings = append(landings, landing)
			}
			one["landing"] = landings
			one["policy"] = []object{
				{"name": "no", "when": `kind == "create" && (name.startsWith("no-") || market == "CHI")`, "then": "reject", "reason": "not here"},
				{"name": "ask", "when": `name.startsWith("ask-") || market == "ATL"`, "then": "ask"},
				{"name": "ok", "when": "true", "then": "approve"},
			}
		}
		all = append(all, one)
	}
	b, _ := json.MarshalIndent(object{"accounts": all}, "", "  ") // text and numbers only
	return b
}

// end ends everything, and says what did not end as it should. Programs are interrupted
// if they are given the time, and else killed.
func (w *world) end(gracefully bool) []string {
	var mu sync.Mutex
	var wrong []string
	var work sync.WaitGroup
	for _, i := range w.instances {
		if i.program != nil && i.cmd != nil && gracefully {
			work.Go(func() {
				if err := i.interrupt(20 * time.Second); err != nil {
					mu.Lock()
					defer mu.Unlock()
					wrong = append(wrong, err.Error())
				}
			})
		}
	}
	work.Wait()
	for _, p := range w.programs() {
		p.signal(syscall.SIGCONT)
		p.kill()
	}
	for _, l := range w.links() {
		l.close()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return append(wrong, w.ended...)
}

// get reads a page; an answer other than a good one is an error.
func get(ctx context.Context, url string) ([]byte, error) { return call(ctx, http.MethodGet, url, nil) }

// call sends v as JSON.
func call(ctx context.Context, method, url string, v any) ([]byte, error) {
	return callAs(ctx, method, url, "", v)
}

func callAs(ctx context.Context, method, url, bearer string, v any) ([]byte, error) {
	var body io.Reader
	if v != nil {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %.200s", method, url, resp.Status, answer)
	}
	return answer, err
}

// inventory reads the books of the exchanges.
func (w *world) inventory(ctx context.Context) (sandbox.Inventory, error) {
	var all sandbox.Inventory
	b, err := get(ctx, w.sandboxBase+"/sandbox/inventory")
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	return all, err
}

// issuer returns what has the seller issue service tokens for the Z side, each for a VLAN
// of its own.
func (w *world) issuer(ctx context.Context) (issue func() string, failed func() error, err error) {
	var login struct {
		Token string `json:"access_token"`
	}
	err = within(ctx, time.Minute, "log in at the exchange", func(ctx context.Context) error {
		b, err := call(ctx, http.MethodPost, w.sandboxBase+"/oauth2/v1/token", object{
			"grant_type": "client_credentials", "client_id": "cloud-client", "client_secret": "cloud-secret",
		})
		if err != nil {
			return err
		}
		return json.Unmarshal(b, &login)
	})
	if err != nil {
		return nil, nil, err
	}
	n := 0
	var wrong error
	return func() string {
		n++
		b, err := callAs(ctx, http.MethodPost, w.sandboxBase+"/fabric/v4/serviceTokens", login.Token, object{
			"type": "VC_TOKEN", "name": fmt.Sprintf("token-%d", n),
			"connection": object{
				"type": "EVPL_VC", "allowRemoteConnection": true, "allowCustomBandwidth": true,
				"zSide": object{"accessPointSelectors": []object{{
					"type": "COLO", "port": object{"uuid": tokenPort}, "linkProtocol": object{"type": "DOT1Q", "vlanTag": 2000 + n},
				}}},
			},
		})
		var token struct {
			UUID string `json:"uuid"`
		}
		if err == nil {
			err = json.Unmarshal(b, &token)
		}
		if err != nil {
			wrong = err
		}
		return token.UUID
	}, func() error { return wrong }, nil
}
