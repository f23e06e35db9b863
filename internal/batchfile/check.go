package batchfile

import (
	"fmt"
	"io"

	"github.com/osiris/osiris/pkg/protocol"
)

// Endpoint is the route that the requests of a file are for.
const Endpoint = protocol.ChatEndpoint

// Check reads a file of requests and finds what a server would refuse: the file's
// faults are in the summary, the error is that of reading. mixed says that the server
// takes several models in one file.
func Check(r io.Reader, mixed bool) (protocol.BatchSummary, error) {
	limited := &bounded{r: r, left: protocol.MaxBatchBytes}
	summary, err := protocol.BatchCheck{Endpoint: Endpoint, Mixed: mixed}.Read(limited, nil)
	if err != nil {
		return summary, fmt.Errorf("check file: %w", err)
	}
	return summary, nil
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
		return 0, fmt.Errorf("larger than %d MB, the most that a batch may have: split it", protocol.MaxBatchBytes>>20)
	}
	return n, err
}
