package protocol

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

// CompletionStatus says how far a kept completion is.
type CompletionStatus string

// The statuses, in OpenAI's words for responses.
const (
	StatusQueued     CompletionStatus = "queued"
	StatusInProgress CompletionStatus = "in_progress"
	StatusCompleted  CompletionStatus = "completed"
	StatusFailed     CompletionStatus = "failed"
	StatusCancelled  CompletionStatus = "cancelled"
)

// CompletionStatuses returns all of them, in the order in which they come.
func CompletionStatuses() []CompletionStatus {
	return []CompletionStatus{StatusQueued, StatusInProgress, StatusCompleted, StatusFailed, StatusCancelled}
}

// StoredCompletion is a kept completion as its owner sees it.
type StoredCompletion struct {
	Envelope
	Status   CompletionStatus
	Answer   []byte            // the completion, as it was answered; of StatusCompleted
	Error    *Error            // of StatusFailed
	Place    *QueuePlace       // of StatusQueued; nil if unknown
	Metadata map[string]string // nil is the same as empty
	Request  []byte            // the body of the request, whose parameters are repeated; nil: none are
}

// QueuePlace is an estimate.
type QueuePlace struct {
	Position int64         // 1 is the next one to run
	Wait     time.Duration // rounded up to seconds
}

// AppendStored appends s as OpenAI's stored completion: the completion itself with
// metadata, request_id and the parameters of the request. A completion that is not
// there (yet) has no choices. Beyond OpenAI's, the object has its status, the place
// in the queue while it is queued, and an error once it has failed. The error of
// AppendStored means that Answer is no JSON object.
func AppendStored(dst []byte, s *StoredCompletion) ([]byte, error) {
	answer := s.Answer
	if s.Status != StatusCompleted {
		answer = appendNoAnswer(nil, s.Envelope)
	}
	id := appendLiteral(nil, s.ID)
	edits := []Member{
		{Name: "status", Value: strconv.AppendQuote(nil, string(s.Status))},
		{Name: "request_id", Value: id},
		{Name: "metadata", Value: appendStrings(nil, s.Metadata)},
		{Name: "error"}, {Name: "queue"},
	}
	if s.Status == StatusFailed && s.Error != nil {
		edits[3].Value = s.Error.appendObject(nil)
	}
	if s.Status == StatusQueued && s.Place != nil {
		edits[4].Value = s.Place.append(nil)
	}
	if s.Request != nil {
		edits = appendEchoes(edits, s.Request)
	}
	return EditObject(dst, answer, edits...)
}

// AnswerID returns the id in a completion, "" if there is none.
func AnswerID(completion []byte) string {
	id, _ := unquote(findMember(completion, "id"))
	return id
}

// appendNoAnswer appends a completion that says nothing.
func appendNoAnswer(dst []byte, env Envelope) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendLiteral(dst, env.ID)
	dst = append(dst, `,"object":"chat.completion","created":`...)
	dst = strconv.AppendInt(dst, env.Created, 10)
	dst = append(dst, `,"model":`...)
	dst = appendLiteral(dst, env.Model)
	dst = append(dst, `,"choices":[]`...)
	if env.ServiceTier != "" {
		dst = append(dst, `,"service_tier":`...)
		dst = appendLiteral(dst, env.ServiceTier)
	}
	return append(dst, '}')
}

func (p *QueuePlace) append(dst []byte) []byte {
	dst = append(dst, `{"position":`...)
	dst = strconv.AppendInt(dst, p.Position, 10)
	dst = append(dst, `,"wait_seconds":`...)
	dst = strconv.AppendInt(dst, int64((p.Wait+time.Second-1)/time.Second), 10)
	return append(dst, '}')
}

// appendEchoes appends the parameters of a request that OpenAI repeats, each with
// what it is when it was left out.
func appendEchoes(edits []Member, request []byte) []Member {
	for _, echo := range [...]struct{ name, of, otherwise string }{
		{"tools", "tools", "null"}, {"tool_choice", "tool_choice", "null"}, {"seed", "seed", "null"},
		{"top_p", "top_p", "1"}, {"temperature", "temperature", "1"},
		{"presence_penalty", "presence_penalty", "0"}, {"frequency_penalty", "frequency_penalty", "0"},
		{"response_format", "response_format", "null"}, {"input_user", "user", "null"},
	} {
		value := findMember(request, echo.of)
		if len(value) == 0 || isNull(value) {
			value = []byte(echo.otherwise)
		}
		edits = append(edits, Member{Name: echo.name, Value: value})
	}
	return edits
}

// appendStrings appends an object of strings, its members in the order of their
// names.
func appendStrings(dst []byte, object map[string]string) []byte {
	if len(object) == 0 {
		return append(dst, "{}"...)
	}
	text, err := json.Marshal(object, json.Deterministic(true))
	if err != nil { // not UTF-8, which a request's metadata always is
		return append(dst, "{}"...)
	}
	return append(dst, text...)
}

// AppendDeleted appends the answer to the deletion of a completion.
func AppendDeleted(dst []byte, id string) []byte {
	dst = append(dst, `{"object":"chat.completion.deleted","id":`...)
	dst = appendLiteral(dst, id)
	return append(dst, `,"deleted":true}`...)
}

// metadataUpdateSchema is the request of POST /v1/chat/completions/{id}.
var metadataUpdateSchema = object([]string{"metadata"}, members{"metadata": metadataSchema.orNull()})

// ParseMetadataUpdate reads the body that replaces a completion's metadata; null
// leaves none. The error is an *Error for the caller's eyes.
func ParseMetadataUpdate(body []byte) (map[string]string, error) {
	if err := validateAs(body, metadataUpdateSchema); err != nil {
		return nil, err
	}
	value := findMember(body, "metadata")
	if isNull(value) {
		return nil, nil
	}
	metadata, ok := decodeStrings(value)
	if !ok {
		return nil, ErrBadJSON()
	}
	return metadata, nil
}
