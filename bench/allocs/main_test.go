package main

import (
	"strings"
	"testing"
)

const said = `goos: linux
pkg: github.com/osiris/osiris/pkg/protocol
BenchmarkForward/content-2   	     200	       894.3 ns/op	 336.56 MB/s	       5 B/op	       3 allocs/op
BenchmarkDecoder    	     200	        78.89 ns/op	       0 B/op	       0 allocs/op
BenchmarkSilent-16   	     200	        78.89 ns/op
PASS
pkg: github.com/osiris/osiris/internal/worker
BenchmarkDecoder-2   	     200	       555.8 ns/op	     743 B/op	      12 allocs/op
`

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct{ table, fault string }{
		"exactly what is allowed":  {"./pkg/protocol BenchmarkForward/content 3\n./internal/worker BenchmarkDecoder 12", ""},
		"fewer":                    {"# a comment\n\n./pkg/protocol BenchmarkForward/content 4", ""},
		"one more":                 {"./pkg/protocol BenchmarkForward/content 2", "3 allocations, 2 are allowed"},
		"more in another package":  {"./pkg/protocol BenchmarkDecoder 0\n./internal/worker BenchmarkDecoder 0", "internal/worker: 12 allocations"},
		"a benchmark that is gone": {"./pkg/protocol BenchmarkGone 4", "did not run"},
		"one without a count":      {"./pkg/protocol BenchmarkSilent 4", "does not report"},
	} {
		t.Run(name, func(t *testing.T) {
			allowed, err := readTable(c.table)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			err = compare(&out, allowed, count([]byte(said)))
			if c.fault == "" && (err != nil || out.Len() == 0) || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
				t.Errorf("%v, want %q", err, c.fault)
			}
		})
	}
}

func TestTable(t *testing.T) {
	if allowed, err := readTable(table); err != nil || len(allowed) == 0 {
		t.Errorf("%d lines, %v", len(allowed), err)
	}
	for _, bad := range []string{"./pkg/protocol BenchmarkX", "./pkg/protocol BenchmarkX many"} {
		if _, err := readTable(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
