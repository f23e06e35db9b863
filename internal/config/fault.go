package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Fault is one thing wrong with a configuration.
type Fault struct {
	Source  string // the file, the variable or the flag
	Line    int    // in a file, from 1; 0 elsewhere
	Field   string // path of the setting, such as models.fast.targets[0].provider
	Problem string // what is wrong
	Remedy  string // what to do; may be empty
}

// Error implements error: source:line: field: problem; remedy.
func (f Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.Source)
	if f.Line > 0 {
		b.WriteString(":" + strconv.Itoa(f.Line))
	}
	if f.Field != "" {
		b.WriteString(": " + f.Field)
	}
	b.WriteString(": " + f.Problem)
	if f.Remedy != "" {
		b.WriteString("; " + f.Remedy)
	}
	return b.String()
}

// Faults is everything wrong with a configuration, in the order of the file, then
// of the environment and the flags. It is the error that Load returns.
type Faults []Fault

// Error implements error: one fault on each line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

func (fs Faults) sorted() Faults {
	slices.SortStableFunc(fs, func(a, b Fault) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Field, b.Field))
	})
	return slices.CompactFunc(fs, func(a, b Fault) bool { return a == b })
}

// problem is a fault that does not know yet where it is.
type problem struct{ what, remedy string }

func (p *problem) at(o origin, field string) Fault {
	return Fault{Source: o.source, Line: o.line, Field: field, Problem: p.what, Remedy: p.remedy}
}

// origin is where a value came from.
type origin struct {
	source string
	line   int
}
