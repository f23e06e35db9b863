// The frontend program turns HTTP requests into jobs. It is stateless: run any
// number of them, before or after NATS and the workers.
package main

import (
	"os"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/service"
	"github.com/osiris/osiris/internal/service/batchpart"
	"github.com/osiris/osiris/internal/service/frontendpart"
	"github.com/osiris/osiris/internal/service/webhookpart"
)

func main() {
	program := service.Program{
		Name: "frontend", Description: "Serves the OpenAI API over HTTP and puts each request into the queue.",
		Reads: config.FrontendOnly, Flags: &service.FrontendFlags{},
		Parts: []service.Starter{webhookpart.Starter(), batchpart.Starter(), frontendpart.Starter(frontendpart.Options{})},
	}
	os.Exit(service.Process(program.Run))
}
