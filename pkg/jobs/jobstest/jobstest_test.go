package jobstest_test

import (
	"testing"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
)

func TestMain(m *testing.M) { jobstest.Main(m) }

func TestEachSharesServersButNotNamespaces(t *testing.T) {
	var seen []string
	for range 2 {
		jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
			if want := map[bool]int{true: 3, false: 1}[n.Nodes() > 1]; n.Nodes() != want {
				t.Errorf("%d nodes", n.Nodes())
			}
			c := n.Connect(t)
			if keys, err := c.Keys(t.Context()); err != nil || len(keys) != 0 {
				t.Errorf("a fresh namespace has keys %v, %v", keys, err)
			}
			if _, _, err := c.CreateKey(t.Context(), jobs.KeySpec{Name: "k"}); err != nil {
				t.Error(err)
			}
			seen = append(seen, n.Config().Namespace)
			seen = append(seen, n.URLs())
		})
	}
	if len(seen) != 8 || seen[0] == seen[4] || seen[1] != seen[5] || seen[2] == seen[6] || seen[3] != seen[7] {
		t.Errorf("namespaces and servers: %v", seen)
	}
}
