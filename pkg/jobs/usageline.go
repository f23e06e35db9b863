package jobs

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// appendLine appends r as JSON and ends the line: the bytes that json.Marshal makes of
// it, at a third of the cost. There is one record for each attempt. The error is that
// of text which is not UTF-8; dst is then returned as it was.
func (r *UsageRecord) appendLine(dst []byte) ([]byte, error) {
	l := usageLine{line: dst}
	l.text(`{"job":`, r.Job)
	l.number(`,"attempt":`, int64(r.Attempt))
	l.text(`,"tenant":`, r.Tenant)
	l.textIfAny(`,"key":`, r.Key)
	l.text(`,"model":`, r.Model)
	l.text(`,"class":`, r.Class)
	l.text(`,"pool":`, r.Pool)
	l.text(`,"worker":`, r.Worker)
	l.textIfAny(`,"provider":`, r.Provider)
	l.textIfAny(`,"target":`, r.Target)
	l.text(`,"status":`, string(r.Status))
	l.textIfAny(`,"error":`, r.Error)
	l.textIfAny(`,"finish_reason":`, r.FinishReason)
	l.number(`,"usage":{"prompt_tokens":`, r.Usage.PromptTokens)
	l.number(`,"completion_tokens":`, r.Usage.CompletionTokens)
	l.number(`,"total_tokens":`, r.Usage.TotalTokens)
	l.number(`,"cached_tokens":`, r.Usage.CachedTokens)
	l.number(`,"cache_write_tokens":`, r.Usage.CacheWriteTokens)
	l.number(`,"reasoning_tokens":`, r.Usage.ReasoningTokens)
	l.millis(`},"queue_ms":`, r.QueueMS)
	l.millis(`,"worker_ms":`, r.WorkerMS)
	l.millis(`,"model_ms":`, r.ModelMS)
	l.line = append(l.line, `,"time":"`...)
	l.line = r.Time.AppendFormat(l.line, time.RFC3339Nano)
	l.line = append(l.line, '"', '}', '\n')
	if l.err != nil {
		return dst, l.err
	}
	return l.line, nil
}

// usageLine is a line that is being written, and the first fault met.
type usageLine struct {
	line []byte
	err  error
}

func (l *usageLine) text(name, value string) {
	l.line = append(l.line, name...)
	line, err := jsontext.AppendQuote(l.line, value)
	if err != nil {
		l.err = err
		return
	}
	l.line = line
}

func (l *usageLine) textIfAny(name, value string) {
	if value != "" {
		l.text(name, value)
	}
}

func (l *usageLine) number(name string, value int64) {
	l.line = strconv.AppendInt(append(l.line, name...), value, 10)
}

// millis appends thousandths of a second, of which there are fewer than 1e21.
func (l *usageLine) millis(name string, value float64) {
	l.line = strconv.AppendFloat(append(l.line, name...), value, 'f', -1, 64)
}
