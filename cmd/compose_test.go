package cmd_test

import (
	"bufio"
	"context"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.yaml.in/yaml/v3"
)

const root = ".."

// subcommands are the containers that run our own image, each by the name of the
// command it runs.
var subcommands = []string{"approver", "provisioner", "requester", "sandbox", "status-watcher"}

func TestComposeServices(t *testing.T) {
	p := compose(t)
	var ours []string
	for name, s := range p.Services {
		if s.Build == nil {
			if !strings.Contains(s.Image, ":") {
				t.Errorf("%s runs image %q, which has no version", name, s.Image)
			}
		} else {
			ours = append(ours, name)
			checkOurs(t, p, s)
		}
		if s.HealthCheck == nil {
			t.Errorf("%s has no health check", name)
		}
		if s.Restart == "" {
			t.Errorf("%s has no restart policy", name)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q, want the loopback interface only", name, port.Published, port.HostIP)
			}
		}
		for _, v := range s.Volumes {
			if _, err := os.Stat(v.Source); v.Type == types.VolumeTypeBind && err != nil {
				t.Errorf("%s mounts what is not there: %v", name, err)
			}
		}
	}
	slices.Sort(ours)
	if !slices.Equal(ours, subcommands) {
		t.Errorf("containers of our image: got %v, want %v", ours, subcommands)
	}
}

// checkOurs checks a container that runs one of our services.
func checkOurs(t *testing.T, p *types.Project, s types.ServiceConfig) {
	t.Helper()
	if want := filepath.Join("deploy", "Dockerfile"); s.Build.Dockerfile != want {
		t.Errorf("%s is built from %s, want %s", s.Name, s.Build.Dockerfile, want)
	}
	if len(s.Command) != 1 || s.Command[0] != s.Name {
		t.Errorf("%s runs %q, want the subcommand of its name", s.Name, s.Command)
	}
	if s.Environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == nil {
		t.Errorf("%s sends its traces nowhere", s.Name)
	}
	if s.Name == "sandbox" {
		return // an exchange: it knows neither journal nor view
	}
	var servers []string
	for addr := range strings.SplitSeq(*s.Environment["PATCHBAY_NATS_URL"], ",") {
		servers = append(servers, checkReaches(t, p, s.Name, addr))
	}
	if want := natsNames(p); !slices.Equal(servers, want) {
		t.Errorf("%s connects to %v, want each of %v", s.Name, servers, want)
	}
	checkReaches(t, p, s.Name, *s.Environment["PATCHBAY_REDIS_URL"])
	if len(s.Secrets) != 1 || "/run/secrets/"+s.Secrets[0].Source != *s.Environment["PATCHBAY_KEY_FILE"] {
		t.Errorf("%s reads its key from %s, which is not its secret", s.Name, *s.Environment["PATCHBAY_KEY_FILE"])
	}
	if !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool {
		return v.Target == *s.Environment["PATCHBAY_ACCOUNTS"]
	}) {
		t.Errorf("%s reads accounts from %s, which is not mounted", s.Name, *s.Environment["PATCHBAY_ACCOUNTS"])
	}
}

// checkReaches checks that addr names a service who waits for, and returns its name.
func checkReaches(t *testing.T, p *types.Project, who, addr string) string {
	t.Helper()
	u, err := url.Parse(addr)
	if err != nil {
		t.Errorf("%s: %v", who, err)
		return ""
	}
	if _, ok := p.Services[who].DependsOn[u.Hostname()]; !ok {
		t.Errorf("%s reaches for %s, which it does not wait for", who, addr)
	}
	return u.Hostname()
}

// TestComposeSettings asks the program itself whether it knows the commands and
// settings that the containers use.
func TestComposeSettings(t *testing.T) {
	program := filepath.Join(t.TempDir(), "patchbay")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./patchbay").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	p := compose(t)
	for _, name := range subcommands {
		s := p.Services[name]
		help := helpOf(t, program, s.Command[0])
		for variable := range s.Environment {
			setting, ours := strings.CutPrefix(variable, "PATCHBAY_")
			flag := "--" + strings.ReplaceAll(strings.ToLower(setting), "_", "-")
			if ours && !strings.Contains(help, flag) {
				t.Errorf("%s sets %s, but %q has no flag %s", name, variable, "patchbay "+name, flag)
			}
		}
		if check := s.HealthCheck.Test; check[0] != "CMD" || check[1] != "/patchbay" {
			t.Errorf("%s is checked by %q; the image holds nothing but /patchbay", name, check)
		} else {
			helpOf(t, program, check[2])
		}
	}
}

// helpOf returns what a subcommand says of itself, on both outputs.
func helpOf(t *testing.T, program, subcommand string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, subcommand, "--help").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "patchbay "+subcommand) {
		t.Fatalf("patchbay %s --help: %v\n%s", subcommand, err, out)
	}
	return string(out)
}

// TestNATSConfig reads the file that the three servers mount as the server does.
func TestNATSConfig(t *testing.T) {
	p := compose(t)
	names := natsNames(p)
	if len(names) != 3 {
		t.Fatalf("NATS servers: got %v, want three", names)
	}
	for _, name := range names {
		opts := natsOptions(t, p.Services[name])
		var routes []string
		for _, r := range opts.Routes {
			routes = append(routes, r.Hostname())
		}
		slices.Sort(routes)
		if !slices.Equal(routes, names) {
			t.Errorf("%s has routes to %v, want %v", name, routes, names)
		}
		if opts.ServerName != name {
			t.Errorf("%s calls itself %q", name, opts.ServerName)
		}
		if !opts.JetStream || !opts.SyncAlways {
			t.Errorf("%s: JetStream %t, sync always %t; want both, or acknowledged does not mean on disk",
				name, opts.JetStream, opts.SyncAlways)
		}
		if !slices.ContainsFunc(p.Services[name].Volumes, func(v types.ServiceVolumeConfig) bool {
			return v.Type == types.VolumeTypeVolume && v.Source == name && v.Target == opts.StoreDir
		}) {
			t.Errorf("%s keeps its data in %s, which is not a volume of its own", name, opts.StoreDir)
		}
	}
}

// TestNATSPermissions runs a server with the users of the configuration: services
// may append and delete what is theirs, and nobody but the administrator may take
// anything back from the journal.
func TestNATSPermissions(t *testing.T) {
	p := compose(t)
	opts := natsOptions(t, p.Services["nats-1"])
	opts.Host, opts.Port, opts.HTTPPort = "127.0.0.1", server.RANDOM_PORT, 0
	opts.Cluster, opts.Routes, opts.StoreDir = server.ClusterOpts{}, nil, t.TempDir()
	opts.NoSigs, opts.NoLog = true, true
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("server not ready")
	}

	service := connect(t, s.ClientURL())
	admin := connect(t, s.ClientURL(), nats.UserInfo("admin", *p.Services["nats-1"].Environment["NATS_ADMIN_PASSWORD"]))
	for _, name := range []string{"JOURNAL", "INTENTS"} {
		cfg := jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}}
		if _, err := service.CreateStream(t.Context(), cfg); err != nil {
			t.Fatalf("a service creates stream %s: %v", name, err)
		}
		for range 2 {
			if _, err := service.Publish(t.Context(), name+".a", nil); err != nil {
				t.Fatalf("a service appends to %s: %v", name, err)
			}
		}
	}
	tests := []struct {
		name    string
		js      jetstream.JetStream
		do      func(context.Context, jetstream.JetStream) error
		allowed bool
		reason  string
	}{
		{"service deletes an intent", service, deleteFirst("INTENTS"), true, "secrets go when their order has ended"},
		{"service deletes a fact", service, deleteFirst("JOURNAL"), false, "the journal is the only truth"},
		{"service purges the journal", service, purge("JOURNAL"), false, "the journal is the only truth"},
		{"service deletes the journal", service, drop("JOURNAL"), false, "the journal is the only truth"},
		{"administrator deletes a fact", admin, deleteFirst("JOURNAL"), true, "archiving needs it"},
		{"administrator purges the journal", admin, purge("JOURNAL"), true, "archiving needs it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// The server answers nothing to what it denies.
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if !tt.allowed {
				ctx, cancel = context.WithTimeout(t.Context(), 250*time.Millisecond)
			}
			defer cancel()
			if err := tt.do(ctx, tt.js); (err == nil) != tt.allowed {
				t.Errorf("got error %v, want allowed %t: %s", err, tt.allowed, tt.reason)
			}
		})
	}
}

func TestRedisConfig(t *testing.T) {
	s := compose(t).Services["redis"]
	file := mounted(t, s, s.Command[len(s.Command)-1])
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	settings := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok && name != "#" {
			settings[name] = value
		}
	}
	if got := settings["appendonly"]; got != "yes" {
		t.Errorf("appendonly: got %q, want yes", got)
	}
	if dir := settings["dir"]; !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool {
		return v.Type == types.VolumeTypeVolume && v.Target == dir
	}) {
		t.Errorf("redis keeps its file in %q, which is not a volume", dir)
	}
}

// TestPrometheusConfig checks that what is scraped and what serves metrics are the
// same containers.
func TestPrometheusConfig(t *testing.T) {
	p := compose(t)
	data, err := os.ReadFile(mounted(t, p.Services["prometheus"], "/etc/prometheus/prometheus.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		ScrapeConfigs []struct {
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	var scraped []string
	for _, job := range config.ScrapeConfigs {
		for _, group := range job.StaticConfigs {
			for _, target := range group.Targets {
				name, port, err := net.SplitHostPort(target)
				if err != nil {
					t.Errorf("target %s: %v", target, err)
				}
				if addr := p.Services[name].Environment["PATCHBAY_HTTP_ADDR"]; addr == nil || *addr != "0.0.0.0:"+port {
					t.Errorf("target %s is not where a container serves metrics", target)
				}
				scraped = append(scraped, name)
			}
		}
	}
	slices.Sort(scraped)
	if !slices.Equal(scraped, subcommands) {
		t.Errorf("scraped: got %v, want each of %v", scraped, subcommands)
	}
}

// compose loads docker-compose.yml as docker compose does, without the
// environment of whoever runs the test.
func compose(t *testing.T) *types.Project {
	t.Helper()
	opts, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")})
	if err != nil {
		t.Fatal(err)
	}
	p, err := opts.LoadProject(t.Context())
	if err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	return p
}

func natsNames(p *types.Project) []string {
	var names []string
	for name, s := range p.Services {
		if strings.HasPrefix(s.Image, "nats:") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// natsOptions returns the options the server of s would start with.
func natsOptions(t *testing.T, s types.ServiceConfig) *server.Options {
	t.Helper()
	for name, value := range s.Environment {
		t.Setenv(name, *value)
	}
	opts, err := server.ProcessConfigFile(mounted(t, s, s.Command[len(s.Command)-1]))
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	return opts
}

// mounted returns the file of this repository that s sees as target.
func mounted(t *testing.T, s types.ServiceConfig, target string) string {
	t.Helper()
	for _, v := range s.Volumes {
		if v.Target == target {
			return v.Source
		}
	}
	t.Fatalf("%s reads %s, which is not mounted", s.Name, target)
	return ""
}

func connect(t *testing.T, addr string, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(addr, append(opts, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func deleteFirst(stream string) func(context.Context, jetstream.JetStream) error {
	return func(ctx context.Context, js jetstream.JetStream) error {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		return s.DeleteMsg(ctx, 1)
	}
}

func purge(stream string) func(context.Context, jetstream.JetStream) error {
	return func(ctx context.Context, js jetstream.JetStream) error {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		return s.Purge(ctx)
	}
}

func drop(stream string) func(context.Context, jetstream.JetStream) error {
	return func(ctx context.Context, js jetstream.JetStream) error { return js.DeleteStream(ctx, stream) }
}
