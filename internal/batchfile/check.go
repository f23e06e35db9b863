package batchfile

import (
	"fmt"
	"io"

	"github.com/osiris/osiris/pkg/protocol"
)

// Endpoint is the route that the requests of a file are for.
const Endpoint = protocol.ChatEndpoint

// maxBody is the largest request that a server takes unless it is configured otherwise.
const maxBody = 64e6

// maxLookups is how many models of a file are asked about; the server finds out about
// the rest.
const maxLookups = 50

// Check reads a file of requests and finds what a server would refuse, in its words:
// the file's faults are in the summary, the error is that of reading. mixed says that
// the server takes several models in one file. serves, if not nil, says what only the
// server knows: whether it has a model. It is asked once for each, and no more after an
// error.
func Check(r io.Reader, mixed bool, serves func(model string) (bool, error)) (protocol.BatchSummary, error) {
	check := protocol.BatchCheck{Endpoint: Endpoint, Mixed: mixed, MaxBody: maxBody}
	if serves != nil {
		check.Serves = once(serves)
	}
	summary, err := check.Read(&bounded{r: r, left: protocol.MaxBatchBytes}, nil)
	if err != nil {
		return summary, fmt.Errorf("check file: %w", err)
	}
	return summary, nil
}

// once remembers what was answered, and asks no more than is decent.
func once(serves func(string) (bool, error)) func(string) bool {
	known, most := map[string]bool{}, maxLookups
	return func(model string) bool {
		if answer, asked := known[model]; asked || len(known) >= most {
			return answer || !asked
		}
		answer, err := serves(model)
		if err != nil {
			most, answer = 0, true
		}
		known[model] = answer
		return answer
	}
}

// bounded refuses to read beyond a limit.
type bounded struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLarge()
	}
	return n, err
}

func errTooLarge() error {
	return fmt.Errorf("larger than %d MB, the most that a batch may have: split it", protocol.MaxBatchBytes>>20)
}

// Bound returns a writer that refuses more than a batch may have.
func Bound(w io.Writer) io.Writer { return &boundedWriter{w, protocol.MaxBatchBytes} }

type boundedWriter struct {
	w    io.Writer
	left int64
}

// Write implements io.Writer.
func (b *boundedWriter) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errTooLarge()
	}
	return b.w.Write(p)
}
