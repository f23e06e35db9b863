package batchfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/osiris/osiris/pkg/protocol"
)

// WithModel copies a file of requests and has every one ask model. Lines stay where
// they are; those that are no requests stay as they are, for a check to find.
func WithModel(w io.Writer, r io.Reader, model string) error {
	quoted, err := json.Marshal(model)
	if err != nil {
		return fmt.Errorf("set model: %w", err)
	}
	in, out := bufio.NewReaderSize(r, 64<<10), bufio.NewWriterSize(w, 64<<10)
	for number := 1; ; number++ {
		line, readErr := in.ReadBytes('\n')
		if readErr != nil && readErr != io.EOF {
			return fmt.Errorf("read requests: %w", readErr)
		}
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte(mark))
		}
		if _, err := out.Write(setModel(line, quoted)); err != nil {
			return fmt.Errorf("write requests: %w", err)
		}
		if readErr == io.EOF {
			if err := out.Flush(); err != nil {
				return fmt.Errorf("write requests: %w", err)
			}
			return nil
		}
	}
}

// setModel returns line with another model in it, or line itself.
func setModel(line, quoted []byte) []byte {
	var parsed struct {
		Body json.RawMessage `json:"body"`
	}
	if json.Unmarshal(line, &parsed) != nil || len(parsed.Body) == 0 || parsed.Body[0] != '{' {
		return line
	}
	body, err := protocol.EditObject(nil, parsed.Body, protocol.Member{Name: "model", Value: quoted})
	if err != nil {
		return line
	}
	edited, err := protocol.EditObject(nil, bytes.TrimRight(line, "\r\n"), protocol.Member{Name: "body", Value: body})
	if err != nil {
		return line
	}
	return append(edited, '\n')
}
