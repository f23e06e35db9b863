package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Times that processes have to start and to stop.
const (
	startTime = 60 * time.Second
	stopTime  = 20 * time.Second
)

// Command is a process to start. It says on its standard output, in a line that begins
// with Announcement, what others need to know of it, and it ends when its standard
// input does: it never outlives the process that started it.
type Command struct {
	Name    string // of its part, in tables
	Path    string
	Args    []string
	Environ []string
	Dir     string
}

// Announcement begins the line that a started process announces itself with; name=value
// pairs follow.
const Announcement = "osiris-bench-part"

// Process is a started one.
type Process struct {
	Name string
	Said map[string]string // what it announced

	cmd     *exec.Cmd
	input   io.Closer
	log     *tail
	reading sync.WaitGroup
	ended   chan struct{} // closed when it has ended
}

// Start starts a process and waits until it announces itself.
func Start(ctx context.Context, c Command) (*Process, error) {
	p := &Process{Name: c.Name, cmd: exec.Command(c.Path, c.Args...), log: &tail{}, ended: make(chan struct{})} //nolint:noctx // Stop ends it
	p.cmd.Env, p.cmd.Dir, p.cmd.Stderr = c.Environ, c.Dir, p.log
	input, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	output, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	p.input = input
	said := make(chan map[string]string, 1)
	p.reading.Go(func() {
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), Announcement); ok {
				said <- pairs(rest)
				break
			}
		}
		_, _ = io.Copy(io.Discard, output)
	})
	go func() { // ends with the process; Stop waits for it
		p.reading.Wait()
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	timer := time.NewTimer(startTime)
	defer timer.Stop()
	select {
	case p.Said = <-said:
		return p, nil
	case <-p.ended:
		err = errors.New("it ended")
	case <-timer.C:
		err = fmt.Errorf("it was not ready within %s", startTime)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.Stop()
	return nil, fmt.Errorf("start %s: %w\n%s", c.Name, err, p.log)
}

// pairs reads name=value pairs, whose values have no blanks.
func pairs(line string) map[string]string {
	out := map[string]string{}
	for word := range strings.FieldsSeq(line) {
		if name, value, ok := strings.Cut(word, "="); ok {
			out[name] = value
		}
	}
	return out
}

// PID is the id of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Alive reports whether the process still runs.
func (p *Process) Alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Stop asks the process to end, and kills it if it takes too long. It may be called more
// than once, by one goroutine.
func (p *Process) Stop() {
	_ = p.input.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // where there are no signals, the end of its input says it
	timer := time.NewTimer(stopTime)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// stopAll stops processes, the last one first.
func stopAll(all []*Process) {
	for _, p := range slices.Backward(all) {
		p.Stop()
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 2000

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailBytes; over > 0 {
		t.text = slices.Delete(t.text, 0, over)
	}
	return len(p), nil
}

// String returns what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
