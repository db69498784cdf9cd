package acceptance_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// binary is the program under test.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "patchbay-acceptance-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "patchbay")
	args := []string{"build", "-o", binary}
	if raced {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "patchbay.io/cmd/patchbay")...).CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "build patchbay: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	_ = os.RemoveAll(dir) // a folder for temporary files
	os.Exit(code)
}

// heavy skips a test that takes more than some seconds where those are asked for.
func heavy(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes longer than -short allows")
	}
}
