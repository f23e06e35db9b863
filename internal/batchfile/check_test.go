package batchfile

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func manyModels(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"custom_id":"%d","method":"POST","url":"/v1/chat/completions","body":{"model":"m%d","messages":[{}]}}`+"\n", i, i%(n/2))
	}
	return b.String()
}

// A server is asked once for each model, about no more than maxLookups of them, and no
// more when it cannot answer.
func TestCheckAsksForModels(t *testing.T) {
	for name, c := range map[string]struct {
		serves func(string) (bool, error)
		asked  int
		faults int
	}{
		"all":    {func(string) (bool, error) { return true, nil }, maxLookups, 0},
		"none":   {func(string) (bool, error) { return false, nil }, maxLookups, 2 * maxLookups},
		"nobody": {func(string) (bool, error) { return true, errors.New("away") }, 1, 0},
	} {
		asked := 0
		summary, err := Check(strings.NewReader(manyModels(4*maxLookups)), true, func(m string) (bool, error) {
			asked++
			return c.serves(m)
		})
		if err != nil || asked != c.asked || len(summary.Faults) != c.faults {
			t.Errorf("%s: asked %d times, %d faults, %v", name, asked, len(summary.Faults), err)
		}
	}
}
