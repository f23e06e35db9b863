package batch

import (
	"flag"
	"testing"

	"github.com/osiris/osiris/pkg/jobs/jobstest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "16") // they wait more than they work; there is such a flag
	jobstest.Main(m)
}
