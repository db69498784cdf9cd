package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// runNode is one NATS server, run by this program as a process of its own. It ends by a
// signal.
func runNode(file string) error {
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		return err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		return errors.New("the server does not listen within 30s")
	}
	s.WaitForShutdown()
	return nil
}

// nodeConfig is the configuration of the i-th node; routes are the links to the others.
// Nobody else's address is told to anyone, so that nothing goes past the links.
func nodeConfig(i int, dir, client, cluster string, routes []*link) string {
	list := ""
	for _, r := range routes {
		list += fmt.Sprintf("    nats-route://%s\n", r.addr())
	}
	return fmt.Sprintf(`server_name: %s
listen: %q
log_file: %q
logtime: true
jetstream { store_dir: %q, sync_interval: always, max_file_store: 16GB, max_memory_store: 256MB }
cluster {
  name: chaos
  listen: %q
  advertise: "127.0.0.1:1"
  no_advertise: true
  routes: [
%s  ]
}
`, nodeName(i), client, dir+"/server.log", dir+"/data", cluster, list)
}

func nodeName(i int) string { return fmt.Sprintf("nats-%d", i+1) }

// isNode reports whether this process is to be a node, and with which configuration.
func isNode() (file string, ok bool) {
	if len(os.Args) == 3 && os.Args[1] == nodeCommand {
		return os.Args[2], true
	}
	return "", false
}

const nodeCommand = "nats-node"
