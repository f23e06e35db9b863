package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/osiris/osiris/internal/bench"
	"github.com/osiris/osiris/internal/service"
)

// asOsiris makes this test binary the program, so that osiris bench can start parts of itself.
const asOsiris = "TEST_BINARY_IS_THE_PROGRAM"

// runBench runs osiris bench and returns what it measured.
func runBench(t *testing.T, code int, args ...string) (report bench.Report, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	std := service.IO{Environ: append(os.Environ(), asOsiris+"=1"), Stdout: &out, Stderr: &errs}
	if got := run(t.Context(), append([]string{"bench", "--json"}, args...), std); got != code {
		t.Fatalf("exit code %d, want %d\n%s%s", got, code, &out, &errs)
	}
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			t.Fatalf("%v in %s", err, &out)
		}
	}
	return report, errs.String()
}

// benchServer runs osiris bench model and returns its base URL.
func benchServer(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, code := newOutput(), make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"bench"}, args...), service.IO{Stdout: out, Stderr: out})
	}()
	t.Cleanup(func() {
		cancel()
		if c := <-code; c != 0 {
			t.Errorf("exit code %d: %s", c, out)
		}
	})
	return regexp.MustCompile(`http://\S+/v1`).FindString(out.await(t, "/v1\n"))
}

// TestBenchURL measures, with every kind of load, an Osiris that runs already.
func TestBenchURL(t *testing.T) {
	model := benchServer(t, "model", "--listen", "127.0.0.1:0", "--ttft", "1ms")
	floor := benchServer(t, "floor", "--listen", "127.0.0.1:0", "--target", strings.TrimSuffix(model, "/v1"))
	p := startUp(t, []string{"OSIRIS_BOOTSTRAP_KEY=" + benchKey, "OPENAI_BASE_URL=" + model, "OPENAI_API_KEY=none"}, "--data-dir", t.TempDir())
	url := regexp.MustCompile(`http://\S+/v1`).FindString(p.stdout.await(t, "Try it"))
	pid := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		name string
		args []string
	}{
		{"plain", []string{"--url", url, "--kind", "plain", "-n", "50", "-c", "4", "--pid", pid}},
		{"a proxy", []string{"--url", floor, "--kind", "stream", "-n", "50", "-c", "4"}},
		{"stream", []string{"--url", url, "--kind", "stream", "-n", "50", "-c", "4", "--usage", "--tokens", "100", "--chunk-bytes", "30"}},
		{"stored stream", []string{"--url", url, "--kind", "stream", "-n", "50", "-c", "4", "--store"}},
		{"rate", []string{"--url", url, "--kind", "stream", "-n", "50", "--rate", "500", "--burst", "5"}},
		{"kept", []string{"--url", url, "--kind", "kept", "-n", "50", "-c", "4"}},
		{"batch", []string{"--url", url, "--kind", "batch", "-n", "50"}},
		{"echo", []string{"--url", url, "--model", "echo", "--kind", "stream", "-n", "50", "-c", "4", "--usage"}},
		{"echo in a batch", []string{"--url", url, "--model", "echo", "--kind", "batch", "-n", "50"}},
		{"shape", []string{"--url", url, "--model", "echo?text=something%20else", "--verify", "shape", "--kind", "stream", "-n", "50"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			report, stderr := runBench(t, 0, append(c.args, "--key", benchKey)...)
			if len(report.Measurements) != 1 || report.Measurements[0].Load.Requests != 50 {
				t.Fatalf("%+v %s", report.Measurements, stderr)
			}
			if m := report.Measurements[0]; c.name == "plain" && runtime.GOOS == "linux" && (m.Cost == nil || m.Cost.PerRequest <= 0 || m.Cost.Peak <= 0) {
				t.Errorf("cost %+v", m.Cost)
			}
		})
	}
	t.Run("wrong", func(t *testing.T) {
		report, stderr := runBench(t, exitFailed, "--url", url, "--key", benchKey, "--model", "echo?text=no", "--verify", "echo", "-n", "3")
		if r := report.Measurements[0].Load; r.Failed != 3 || r.Errors["wrong_text"] != 3 || !strings.Contains(stderr, "3 of 3 requests failed") {
			t.Errorf("%+v %s", r, stderr)
		}
	})
	t.Run("no key", func(t *testing.T) {
		report, _ := runBench(t, exitFailed, "--url", url, "-n", "3")
		if r := report.Measurements[0].Load; r.Errors["http_401"] != 3 {
			t.Errorf("%+v", r)
		}
	})
	p.stop(t)
}

// TestBenchStarts has osiris bench start everything, in one process and in three.
func TestBenchStarts(t *testing.T) {
	report, stderr := runBench(t, 0, "--systems", "direct,floor,up,apart", "--kind", "stream", "-n", "20", "-c", "2", "--tokens", "4", "--repetitions", "1")
	if len(report.Measurements) != 4 || len(report.Summaries) != 4 || report.Machine.Processors == 0 {
		t.Fatalf("%+v\n%s", report, stderr)
	}
	for i, system := range []string{"direct", "floor", "up", "apart"} {
		m := report.Measurements[i]
		if m.System != system || m.Failure != "" || m.Load.Requests != 20 || m.Load.Chunks != 80 {
			t.Errorf("%s: %+v %+v", system, m, m.Load)
		}
		if runtime.GOOS != "linux" {
			continue
		}
		if m.Generator == nil || m.Generator.ModelPerRequest <= 0 || (m.Cost == nil) != (system == "direct") || system == "apart" && len(m.Cost.Parts) != 3 {
			t.Errorf("%s: cost %+v, generator %+v", system, m.Cost, m.Generator)
		}
		if ratio := report.Summaries[i].Ratios["cpu_us_per_request"]; (ratio.Median > 0) != (system == "up" || system == "apart") {
			t.Errorf("%s: ratio %+v", system, ratio)
		}
	}
}

// TestBenchParts: parts end with their input, so that none outlives who started it.
func TestBenchParts(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"bench", "model", "--child", "--listen", "127.0.0.1:0"},
		{"bench", "floor", "--child", "--listen", "127.0.0.1:0", "--target", "http://127.0.0.1:1"},
		{"bench", "part", "up"},
	} {
		cmd := exec.CommandContext(t.Context(), self, args...)
		cmd.Env = append(os.Environ(), asOsiris+"=1", "OSIRIS_DATA_DIR="+t.TempDir(), "OSIRIS_LISTEN=127.0.0.1:0", "OSIRIS_ADMIN_LISTEN=off")
		out := newOutput()
		cmd.Stdout, cmd.Stderr = out, out
		input, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		out.await(t, bench.Announcement)
		input.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v: %s", args, err, out)
		}
	}
}

func TestBenchFaults(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--url", "http://127.0.0.1:1/v1", "--floor"}, exitUsage, "starts nothing"},
		{[]string{"--burst", "3"}, exitUsage, "needs a rate"},
		{[]string{"--url", "nowhere"}, exitUsage, `url "nowhere" is none`},
		{[]string{"--key", "x"}, exitUsage, "--url"},
		{[]string{"--scenario", "S9"}, exitUsage, "S9"},
		{[]string{"--scenario", "S1", "-c", "3"}, exitUsage, "describes a load already"},
		{[]string{"--systems", "nginx"}, exitUsage, "nginx"},
		{[]string{"--repetitions", "0"}, exitUsage, "at least 1"},
		{[]string{"--url", "http://127.0.0.1:1/v1", "--process", "no-such-program"}, exitFailed, ""},
		{[]string{"model", "--jitter", "3"}, exitUsage, "jitter"},
		{[]string{"model", "--listen", "256.0.0.1:0"}, exitFailed, "256.0.0.1"},
		{[]string{"floor", "--target", "x"}, exitUsage, "--target"},
		{[]string{"part", "x"}, exitUsage, "no part"},
	} {
		var errs bytes.Buffer
		if code := run(t.Context(), append([]string{"bench"}, c.args...), service.IO{Stdout: io.Discard, Stderr: &errs}); code != c.code || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%v: exit code %d, %s", c.args, code, &errs)
		}
	}
}

// TestBenchTables writes for people.
func TestBenchTables(t *testing.T) {
	model := benchServer(t, "model", "--listen", "127.0.0.1:0")
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"bench", "--url", model, "--kind", "stream", "-n", "5", "-c", "1"}, service.IO{Stdout: &out, Stderr: &errs})
	for _, want := range []string{"streams, 1 at a time", "5 right and measured, 5 begun, 0 failed", "first token", "p99.9"} {
		if code != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("code %d, %q is missing in %s%s", code, want, &out, &errs)
		}
	}
}
