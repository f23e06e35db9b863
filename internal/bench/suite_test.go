package bench_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/osiris/osiris/internal/bench"
	"github.com/osiris/osiris/internal/bench/floor"
	"github.com/osiris/osiris/internal/bench/load"
	"github.com/osiris/osiris/internal/bench/mockmodel"
)

// partVariable makes this test binary a part of a measured system.
const partVariable = "BENCH_TEST_PART"

func TestMain(m *testing.M) {
	if part := os.Getenv(partVariable); part != "" {
		if err := runPart(part); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// runPart is a simulated model, or a proxy before the model at an address, until its input ends.
func runPart(part string) error {
	if part == "broken" {
		return errors.New("this part is broken")
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "a line before it\n%s url=http://%s other=1\n", bench.Announcement, ln.Addr())
	if part == "model" {
		server, err := mockmodel.New(mockmodel.Config{Gap: time.Millisecond})
		if err != nil {
			return err
		}
		return server.Serve(ctx, ln)
	}
	target, err := url.Parse(part)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: floor.Handler(target)}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func command(t *testing.T, name, part string) bench.Command {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return bench.Command{Name: name, Path: binary, Environ: append(os.Environ(), partVariable+"="+part)}
}

func suite(t *testing.T, scenarios ...bench.Scenario) *bench.Suite {
	t.Helper()
	start := func(ctx context.Context, name, part string) (*bench.Running, error) {
		p, err := bench.Start(ctx, command(t, name, part))
		if err != nil {
			return nil, err
		}
		return bench.NewRunning(bench.Target{URL: p.Said["url"] + "/v1", Model: "bench"}, []*bench.Process{p}), nil
	}
	proxy := func(ctx context.Context, model, dir string) (*bench.Running, error) {
		if _, err := os.Stat(filepath.Dir(dir)); err != nil {
			t.Error(err)
		}
		return start(ctx, "proxy", strings.TrimSuffix(model, "/v1"))
	}
	return &bench.Suite{
		Scenarios: scenarios, Repetitions: 2, Dir: t.TempDir(),
		Systems: []bench.System{{Name: "floor", Start: proxy}, {Name: "second", Start: proxy}},
		StartModel: func(ctx context.Context, _ bench.Scenario) (*bench.Running, error) {
			return start(ctx, "model", "model")
		},
	}
}

// TestSuite measures two proxies that are the same, in turns.
func TestSuite(t *testing.T) {
	s := suite(t,
		bench.Scenario{Name: "plain", What: "whole answers", Load: load.Config{Kind: load.Plain, Requests: 40, Concurrency: 4, Tokens: 3}, Before: 10 * time.Millisecond, BeforeWith: 2},
		bench.Scenario{Name: "stream", What: "streams", Load: load.Config{Kind: load.Stream, Requests: 40, Concurrency: 4, Tokens: 6}},
		bench.Scenario{Name: "kept", What: "only for Osiris", Load: load.Config{Kind: load.Kept, Requests: 1}},
	)
	var told []string
	s.Done = func(m bench.Measurement) { told = append(told, m.Line()) }
	all, err := s.Run(t.Context())
	if err != nil || len(all) != 8 || len(told) != 8 {
		t.Fatalf("%d measurements, %d told: %v", len(all), len(told), err)
	}
	var order []string
	for _, m := range all {
		order = append(order, fmt.Sprintf("%s %s %d", m.Scenario, m.System, m.Repetition))
		if m.Failure != "" || m.Load.Requests != 40 || m.Load.Failed != 0 {
			t.Errorf("%+v", m)
			continue
		}
		if runtime.GOOS == "linux" && (m.Cost == nil || m.Cost.PerRequest <= 0 || m.Cost.Peak < 1<<20 || m.Generator.PerRequest <= 0 || m.Generator.ModelPerRequest <= 0) {
			t.Errorf("cost %+v, generator %+v", m.Cost, m.Generator)
		}
	}
	if want := []string{"plain floor 1", "plain second 1", "plain second 2", "plain floor 2"}; !slices.Equal(order[:4], want) {
		t.Errorf("order %v, want %v", order[:4], want)
	}
	summaries := bench.Summarize(all, "floor")
	if len(summaries) != 4 || summaries[1].System != "second" || summaries[1].Runs != 2 || len(summaries[0].Ratios) != 0 {
		t.Fatalf("%+v", summaries)
	}
	ratio := summaries[1].Ratios["requests_per_s"]
	for i, m := range []int{1, 2} {
		r := all[m].Load.RequestsPerSec / all[3*i].Load.RequestsPerSec
		if r < ratio.Lowest || r > ratio.Highest {
			t.Errorf("ratio %g of repetition %d is not in %+v", r, i+1, ratio)
		}
	}
	var out bytes.Buffer
	bench.WriteTables(&out, s.Scenarios, summaries, "floor")
	for _, want := range []string{"plain: whole answers", "stream: streams", "first token p50", "second / floor: requests/s ×", "total p50 "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the tables lack %q:\n%s", want, out.String())
		}
	}
	if left, err := os.ReadDir(s.Dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestSuiteFails: a system that cannot start is a measurement that says why, and the others go on.
func TestSuiteFails(t *testing.T) {
	s := suite(t, bench.Scenario{Name: "plain", Load: load.Config{Kind: load.Plain, Requests: 4, Concurrency: 1}})
	s.Repetitions = 1
	s.Systems = append([]bench.System{{Name: "broken", Start: func(ctx context.Context, _, _ string) (*bench.Running, error) {
		all, err := bench.StartAll(ctx,
			func([]*bench.Process) bench.Command { return command(t, "first", "model") },
			func(before []*bench.Process) bench.Command {
				if before[0].Said["other"] != "1" {
					t.Errorf("the first said %v", before[0].Said)
				}
				return command(t, "second", "broken")
			})
		if err == nil {
			t.Error("it started")
		}
		return nil, errors.Join(err, fmt.Errorf("%d are left", len(all)))
	}}}, s.Systems...)
	all, err := s.Run(t.Context())
	if err != nil || len(all) != 3 || !strings.Contains(all[0].Failure, "start second: it ended\nthis part is broken") || all[1].Failure != "" {
		t.Errorf("%+v, %v", all, err)
	}
	if sums := bench.Summarize(all, "floor"); sums[0].Runs != 0 || len(sums[0].Figures) != 0 {
		t.Errorf("%+v", sums[0])
	}
	if line := all[0].Line(); !strings.Contains(line, "FAILED") {
		t.Error(line)
	}
}

func TestSuiteInterrupted(t *testing.T) {
	s := suite(t, bench.Scenario{Name: "plain", Load: load.Config{Kind: load.Plain, Duration: time.Hour, Concurrency: 1}})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	time.AfterFunc(300*time.Millisecond, func() { cancel(why) })
	if all, err := s.Run(ctx); !errors.Is(err, why) || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestNamed(t *testing.T) {
	got, err := bench.Named("s3, batch")
	if err != nil || len(got) != 2 || got[0].Name != "S3" || got[1].Name != "batch" {
		t.Errorf("%+v, %v", got, err)
	}
	short := got[0].Stretched(0.5)
	if short.Load.Duration != 4500*time.Millisecond || short.Gap != 10*time.Millisecond || got[1].Stretched(0.1).Load.Requests != 1000 {
		t.Errorf("stretched: %+v", short)
	}
	if _, err := bench.Named("S3,S99"); err == nil || !strings.Contains(err.Error(), "S99") {
		t.Errorf("%v", err)
	}
	all, err := bench.Named(bench.Standard)
	if err != nil || len(all) != 6 {
		t.Errorf("%d standard scenarios, %v", len(all), err)
	}
}
