// The mockmodel program is a model server for tests of the whole system: it speaks the
// OpenAI API, repeats the last message word by word, and counts what it has open.
//
//	POST /v1/chat/completions   repeats the last message; the unknown parameter
//	                            mock_delay_ms is the pause before each word
//	GET  /v1/models             the one model, mock
//	GET  /stats                 {"open": calls now, "calls": calls ever}
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	server := &http.Server{Addr: ":9000", Handler: newModel(), ReadHeaderTimeout: 10 * time.Second}
	if err := server.ListenAndServe(); err != nil {
		fmt.Fprintln(os.Stderr, "mockmodel:", err)
		os.Exit(1)
	}
}
