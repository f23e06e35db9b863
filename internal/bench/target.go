package bench

import (
	"context"
)

// Target is a server under load, and the processes whose cost is measured.
type Target struct {
	URL, Key, Model string
	Header          []string
	Parts           []Part
}

// Part is some of the processes of a system, with the name that tables have for them.
type Part struct {
	Name string
	PIDs []int
}

func (t *Target) pids() []int {
	var out []int
	for _, p := range t.Parts {
		out = append(out, p.PIDs...)
	}
	return out
}

// Running is a system, or a model, that was started.
type Running struct {
	Target    Target
	Processes []*Process // in the order of starting
}

// NewRunning has every process as a part of its own.
func NewRunning(t Target, processes []*Process) *Running {
	for _, p := range processes {
		t.Parts = append(t.Parts, Part{Name: p.Name, PIDs: []int{p.PID()}})
	}
	return &Running{Target: t, Processes: processes}
}

// System is something that stands before a model.
type System struct {
	Name   string
	Osiris bool // it has what other gateways lack: kept completions and batches

	// Start starts it before the model at this base URL, which has its /v1; dir is empty
	// and its own. Nothing of it runs when there is an error.
	Start func(ctx context.Context, model, dir string) (*Running, error)
}

// StartAll starts processes one after the other; each is made with what those before it
// announced. When one fails, those before it are stopped.
func StartAll(ctx context.Context, makers ...func(before []*Process) Command) ([]*Process, error) {
	var all []*Process
	for _, maker := range makers {
		p, err := Start(ctx, maker(all))
		if err != nil {
			stopAll(all)
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}
