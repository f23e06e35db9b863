// The worker program takes jobs from the queue and calls models. Run any number of
// them, in pools, before or after NATS and the frontends.
package main

import (
	"os"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/service"
	"github.com/osiris/osiris/internal/service/workerpart"
)

func main() {
	program := service.Program{
		Name: "worker", Description: "Takes jobs from the queue and calls the models.",
		Reads: config.WorkerOnly, Flags: &service.WorkerFlags{},
		Parts: []service.Starter{workerpart.Starter()},
	}
	os.Exit(service.Process(program.Run))
}
