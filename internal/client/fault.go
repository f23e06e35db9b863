package client

import (
	"encoding/json"

	"github.com/osiris/osiris/pkg/protocol"
)

// readFault reads an error answer: OpenAI's, or one of the shapes that compatible
// servers have, {"error":"text"} and {"message":"text"}. What cannot be told is empty.
func readFault(text []byte) *protocol.Error {
	var answer struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
	}
	if json.Unmarshal(text, &answer) != nil {
		return &protocol.Error{}
	}
	if len(answer.Error) == 0 || string(answer.Error) == "null" {
		return &protocol.Error{Message: answer.Message}
	}
	return readErrorObject(answer.Error)
}

// readErrorObject reads the value of "error", in an answer or in a stream.
func readErrorObject(value json.RawMessage) *protocol.Error {
	var plain string
	if json.Unmarshal(value, &plain) == nil {
		return &protocol.Error{Message: plain}
	}
	var object struct {
		Message string `json:"message"`
		Type    string `json:"type"`
		Param   any    `json:"param"`
		Code    any    `json:"code"` // a number, of some servers
	}
	if json.Unmarshal(value, &object) != nil || object.Message == "" {
		object.Message = string(value)
	}
	e := &protocol.Error{Message: object.Message, Type: object.Type}
	e.Param, _ = object.Param.(string)
	e.Code, _ = object.Code.(string)
	return e
}
