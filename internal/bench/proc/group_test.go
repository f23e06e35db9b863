//go:build linux

package proc_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/osiris/osiris/internal/bench/proc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestProcessorTime: a group counts what getrusage counts.
func TestProcessorTime(t *testing.T) {
	g, err := proc.Watch(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	before, err := g.Usage()
	if err != nil {
		t.Fatal(err)
	}
	self := own(t)
	machine, err := proc.Machine()
	if err != nil {
		t.Fatal(err)
	}
	for own(t)-self < 150*time.Millisecond { // so that ticks of 10 ms, and other threads, are small beside it
		continue // asking is work enough
	}
	after, err := g.Usage()
	if err != nil {
		t.Fatal(err)
	}
	spent, want := after.CPU-before.CPU, own(t)-self
	if spent < want*8/10 || spent > want*12/10+20*time.Millisecond {
		t.Errorf("the group counts %s, getrusage %s", spent, want)
	}
	if now, err := proc.Machine(); err != nil || now-machine < 100*time.Millisecond {
		t.Errorf("the machine spent %s, %v", now-machine, err)
	}
	if after.Memory < 1<<20 || after.Peak < after.Memory {
		t.Errorf("memory %d, peak %d", after.Memory, after.Peak)
	}
}

func own(t *testing.T) time.Duration {
	t.Helper()
	d, err := proc.Self()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDescendants: what a process starts is counted with it, also once it has ended.
func TestDescendants(t *testing.T) {
	alone, err := proc.Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "echo on; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo off; read x")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	word := make([]byte, 16)
	for seen := ""; !strings.Contains(seen, "off"); {
		n, err := output.Read(word)
		if err != nil {
			t.Fatal(err)
		}
		seen += string(word[:n])
	}
	child := cmd.Process.Pid
	g, err := proc.Watch(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	both, err := g.Usage()
	if err != nil {
		t.Fatal(err)
	}
	of, err := proc.Of(child)
	if err != nil || of.CPU <= 0 || of.Memory <= 0 {
		t.Fatalf("the child alone: %+v, %v", of, err)
	}
	if both.CPU < alone.CPU+of.CPU || both.Memory < of.Memory+1<<20 {
		t.Errorf("alone %+v, child %+v, both %+v", alone, of, both)
	}
	for _, name := range []string{"sh", "sh -c", "sh -c echo on;"} {
		if pids, err := proc.Named(name); err != nil || !slices.Contains(pids, child) {
			t.Errorf("by the name %q: %v, %v", name, pids, err)
		}
	}
	if pids, _ := proc.Named("sh -x"); slices.Contains(pids, child) {
		t.Error("another command is found")
	}
	input.Close()
	if err := cmd.Wait(); err == nil {
		t.Error("read succeeded at the end of its input")
	}
	after, err := g.Usage()
	if err != nil || after.CPU < both.CPU || after.Peak < both.Memory { // what it cost stays
		t.Errorf("after its end: %+v, before it %+v, %v", after, both, err)
	}
	if _, err := proc.Of(child); err == nil || !strings.Contains(err.Error(), "is not there") {
		t.Errorf("one that ended: %v", err)
	}
	if _, err := proc.Watch(child); err == nil {
		t.Error("one that ended can be watched")
	}
	if _, err := proc.Named("no-such-program"); err == nil {
		t.Error("a name that nobody has is found")
	}
}

func TestNobody(t *testing.T) {
	if u, err := proc.Of(); err != nil || u != (proc.Usage{}) {
		t.Errorf("%+v, %v", u, err)
	}
}
