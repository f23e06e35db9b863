package e2e

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// silence, if set, makes the model silent for so long before a configuration as
// programs have it by default: keep-alives come as they do in production then.
var silence = flag.Duration("silence", 0, "let a model be silent for so long before the default keep-alive, such as 30s")

// TestMain is also the NATS of the tests about processes, which start this binary
// again with natsVariable set.
func TestMain(m *testing.M) {
	if dir := os.Getenv(natsVariable); dir != "" {
		os.Exit(serveNATS(dir, os.Getenv(natsListenVariable)))
	}
	flag.Parse()
	// Tests that run side by side mostly wait: more of them than there are cores.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	code := m.Run()
	removeBinaries()
	if code == 0 {
		// fasthttp keeps a clock for ever, and each server's pool a sweeper for ten
		// seconds after the server stopped.
		if err := goleak.Find(
			goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
			goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		); err != nil {
			os.Stderr.WriteString("goroutines are left: " + err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}

// heavy skips a test that starts processes or moves much data when -short is given, but not in CI.
func heavy(t *testing.T, why string) {
	t.Helper()
	if testing.Short() && os.Getenv("CI") != "true" {
		t.Skipf("skipped by -short: %s", why)
	}
}
