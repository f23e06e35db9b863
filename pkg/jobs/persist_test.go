package jobs

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What ends with the connection's return is tried again; what the broker refuses is not.
func TestTransientErrors(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{&net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}, true}, // before the library noticed
		{fmt.Errorf("nats: %w", io.ErrClosedPipe), true},                  // the same within a process
		{nats.ErrDisconnected, true},
		{errRace, true},
		{&jetstream.APIError{Code: 503, ErrorCode: 10008}, true},
		{&jetstream.APIError{Code: 503, ErrorCode: codeStreamFull}, false},
		{nats.ErrConnectionClosed, false},
		{nats.ErrMaxPayload, false},
		{errors.New("anything"), false},
	} {
		if got := transient(tt.err); got != tt.want {
			t.Errorf("%v: %t", tt.err, got)
		}
	}
}
