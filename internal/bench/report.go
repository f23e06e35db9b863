package bench

import (
	"os"
	"runtime"
	"strings"
)

// Report is everything that was measured, for programs.
type Report struct {
	Machine      Machine       `json:"machine"`
	Version      string        `json:"version"`
	Summaries    []Summary     `json:"summaries"`
	Measurements []Measurement `json:"measurements"`
}

// Machine is where it was measured.
type Machine struct {
	System     string `json:"system"`
	Processors int    `json:"processors"`
	Processor  string `json:"processor,omitempty"`
}

// ThisMachine is the one that this program runs on.
func ThisMachine() Machine {
	m := Machine{System: runtime.GOOS + "/" + runtime.GOARCH, Processors: runtime.NumCPU()}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m // only Linux has it
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.Processor = strings.TrimSpace(value)
			break
		}
	}
	return m
}
