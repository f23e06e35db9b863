package batch

import (
	"flag"
	"testing"

	"github.com/osiris/osiris/pkg/jobs/jobstest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil { // they wait more than they work
		panic(err)
	}
	jobstest.Main(m)
}
