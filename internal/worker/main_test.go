package worker

import (
	"testing"

	"github.com/osiris/osiris/pkg/jobs/jobstest"
)

func TestMain(m *testing.M) { jobstest.Main(m) }
